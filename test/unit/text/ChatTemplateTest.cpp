//===- ChatTemplateTest.cpp - Templates rendered as Jinja does ------------===//

#include "runtime/text/ChatTemplate.h"

#include "runtime/text/Tokenizer.h"
#include "test/unit/text/Lines.h"

#include <ctime>
#include <gtest/gtest.h>

using namespace ds::text;
using Json = ChatTemplate::Json;

/// Renders `source`; a failure gives its message after "error: ".
static std::string render(const std::string &source,
                          const Json &variables = Json::object()) {
  Result<ChatTemplate> chat = ChatTemplate::parse(source, "t");
  if (!chat)
    return "error: " + chat.error();
  Result<std::string> text = chat->render(variables);
  return text ? *text : "error: " + text.error();
}

TEST(ChatTemplate, recordedCases) {
  auto lines = readLines("chat_cases.jsonl");
  ASSERT_GT(lines.size(), 200u);
  for (const auto &line : lines) {
    std::string text = render(line["template"], line["variables"]);
    if (line.contains("error"))
      EXPECT_EQ(text.rfind("error: t:", 0), 0u) << line["name"] << "\n" << text;
    else
      EXPECT_EQ(text, line["expected"].get<std::string>()) << line["name"];
  }
}

TEST(ChatTemplate, conversationWithATokenizer) {
  Result<Tokenizer> tokenizer =
      Tokenizer::load(std::string(DS_GOLDEN) + "/tokenizer_small");
  ASSERT_TRUE(tokenizer) << tokenizer.error();
  Result<ChatTemplate> chat = ChatTemplate::parse(tokenizer->chatTemplate());
  ASSERT_TRUE(chat) << chat.error();
  std::vector<ChatMessage> talk = {{"user", "a"}, {"assistant", "b"}};
  Result<std::string> text = chat->render(talk, *tokenizer);
  ASSERT_TRUE(text) << text.error();
  EXPECT_EQ(*text, "<|user|> a</s><|user|> b</s>");
  chat = ChatTemplate::parse(
      "{{ bos_token }}{{ pad_token is defined }}{{ add_generation_prompt }}"
      "{{ messages[0].role }}");
  EXPECT_EQ(*chat->render(talk, *tokenizer, false), "<s>FalseFalseuser");
}

TEST(ChatTemplate, marksOfTheAssistantAreBlocks) {
  EXPECT_EQ(render("{% generation %}a{% endgeneration %}"), "a");
}

TEST(ChatTemplate, now) {
  std::time_t now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  EXPECT_EQ(render("{{ strftime_now('%Y') }}"),
            std::to_string(1900 + parts.tm_year));
}

TEST(ChatTemplate, errorsHaveLines) {
  EXPECT_EQ(render("a\n{{ 1 + }}"),
            "error: t:2: expects an expression, not '}}'");
  EXPECT_EQ(render("{% if a %}\nx"),
            "error: t:2: expects {% endif %} for the statement before");
  EXPECT_EQ(render("\n\n{{ raise_exception('roles must alternate') }}"),
            "error: t:3: the template refuses the conversation: roles must "
            "alternate");
  EXPECT_EQ(render("\n{{ messages[0].content }}"),
            "error: t:2: 'messages' is undefined");
  EXPECT_EQ(render("\n{{ message.a.b }}", {{"message", Json::object()}}),
            "error: t:2: the attribute 'a' is undefined");
  EXPECT_EQ(render("{{ 'a' | shout }}"), "error: t:1: expects no filter "
                                         "'shout'");
  EXPECT_EQ(render("\n{% for i in 3 %}{% endfor %}"),
            "error: t:2: expects something to iterate over, not a whole "
            "number");
  EXPECT_EQ(render("{% extends 'x' %}"),
            "error: t:1: expects if, for, set, macro, call, filter, break or "
            "continue, not 'extends'");
  EXPECT_EQ(render("{{ 1 < 2 < 3 }}"),
            "error: t:1: expects one comparison; join two by 'and'");
  EXPECT_EQ(render("{{ 99999999999999999999 }}"),
            "error: t:1: expects a number of 64 bits");
  EXPECT_EQ(render("\xFF"), "error: t: expects the template to be UTF-8");
}

// A template that a model folder brings cannot take the process down.
TEST(ChatTemplate, runawaysEnd) {
  EXPECT_EQ(render("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
            "error: t:1: expects fewer calls within each other");
  EXPECT_EQ(render("{% set ns = namespace(a='xxxxxxxx') %}{% for i in "
                   "range(99) %}{% set ns.a = ns.a + ns.a %}{% endfor %}"),
            "error: t:1: expects texts of at most 67108864 bytes");
  EXPECT_EQ(render("{{ 'x' * 999999999999 }}"),
            "error: t:1: expects texts of at most 67108864 bytes");
  EXPECT_EQ(render("{{ range(999999999) }}"),
            "error: t:1: expects a range of at most 100000 numbers");
  EXPECT_EQ(render("{% for i in range(99999) %}{% for j in range(99999) %}"
                   "{% endfor %}{% endfor %}"),
            "error: t:1: expects the template to end");
  EXPECT_EQ(render("{% set ns = namespace(a=[]) %}{% for i in range(9999) %}"
                   "{% set ns.a = [ns.a] %}{% endfor %}"),
            "error: t:1: expects values nested at most 200 deep");
  EXPECT_EQ(render("{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}"),
            "error: t:1: expects no namespace inside of another value");
  EXPECT_EQ(render("{{ " + std::string(9999, '(') + "1" +
                   std::string(9999, ')') + " }}"),
            "error: t:1: expects expressions nested at most 150 deep");
  std::string chain = "a", nots, blocks;
  for (int i = 0; i < 100000; ++i) {
    chain += ".a";
    nots += "not ";
    blocks += "{% if a %}";
  }
  EXPECT_EQ(render("{{ " + chain + " }}"),
            "error: t:1: expects expressions of at most 1000 parts");
  EXPECT_EQ(render("{{ " + nots + "a }}"),
            "error: t:1: expects fewer 'not', not 'not'");
  EXPECT_EQ(render(blocks.substr(0, 90000)),
            "error: t:1: expects statements nested at most 100 deep, not 'if'");
  Json deep = Json::array();
  for (int i = 0; i < 150; ++i)
    deep = Json::array({deep});
  EXPECT_EQ(render("x", {{"messages", deep}}),
            "error: t: expects values nested at most 100 deep");
}
