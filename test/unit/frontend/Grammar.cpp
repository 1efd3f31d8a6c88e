//===- Grammar.cpp - The grammar of docs/dsl.md as a recogniser -----------===//
#include "Grammar.h"
#include "llvm/ADT/StringSwitch.h"
#include <regex>

using ds::Token;

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

Grammar::Grammar(const std::string &text) {
  static const std::regex word(
      "\"[^\"]+\"|\\?[^?\"]+\\?|[A-Za-z_]+|[=|;()\\[\\]{}]");
  for (std::sregex_iterator it(text.begin(), text.end(), word), end; it != end;
       ++it)
    words.push_back(it->str());
  while (position < words.size()) {
    std::string name = words[position];
    position += 2; // The name and '='.
    if (start.empty())
      start = name;
    rules[name] = readChoice();
    ++position; // The ';'.
  }
}

Grammar::NodePtr Grammar::readChoice() {
  auto choice = std::make_unique<Node>(Node{Node::Choice, "", {}});
  choice->children.push_back(readSequence());
  while (position < words.size() && words[position] == "|") {
    ++position;
    choice->children.push_back(readSequence());
  }
  return choice;
}

Grammar::NodePtr Grammar::readSequence() {
  auto sequence = std::make_unique<Node>(Node{Node::Sequence, "", {}});
  while (position < words.size() &&
         std::string("|;)]}").find(words[position]) == std::string::npos)
    sequence->children.push_back(readPrimary());
  return sequence;
}

Grammar::NodePtr Grammar::readPrimary() {
  std::string word = words[position++];
  auto node = std::make_unique<Node>(Node{Node::Name, word, {}});
  if (word == "(" || word == "[" || word == "{") {
    node->kind = word == "("   ? Node::Sequence
                 : word == "[" ? Node::Optional
                               : Node::Repeat;
    node->children.push_back(readChoice());
    ++position; // The closing bracket.
  } else if (word[0] == '"') {
    node->kind = Node::Terminal;
    node->text = word.substr(1, word.size() - 2);
    terminals.insert(node->text);
  } else if (word[0] == '?') {
    node->kind = Node::Special;
  }
  return node;
}

static bool isTokenClass(const std::string &name) {
  return name == "NAME" || name == "INT" || name == "FLOAT" || name == "STRING";
}

void Grammar::visit(const Node &node, std::set<std::string> &names) const {
  if (node.kind == Node::Name)
    names.insert(node.text);
  for (const NodePtr &child : node.children)
    visit(*child, names);
}

std::string Grammar::check() const {
  std::string problems;
  std::set<std::string> used = {start};
  for (const auto &[name, node] : rules)
    visit(*node, used);
  for (const std::string &name : used)
    if (!rules.count(name) && !isTokenClass(name))
      problems += "no production of " + name + "\n";
  for (const auto &[name, node] : rules)
    if (!used.count(name))
      problems += "nothing uses " + name + "\n";
  return problems;
}

//===----------------------------------------------------------------------===//
// Recognising
//===----------------------------------------------------------------------===//

/// Finds all places where a node that begins at a place can end.
struct Grammar::Matcher {
  const Grammar &grammar;
  const std::vector<Token> &tokens;
  std::map<std::pair<const Node *, size_t>, Ends> known;

  bool matchesClass(const std::string &name, const Token &token) const {
    return llvm::StringSwitch<bool>(name)
        .Case("NAME", token.kind == Token::Name)
        .Case("INT", token.kind == Token::Int)
        .Case("FLOAT", token.kind == Token::Float)
        .Case("STRING", token.kind == Token::String)
        .Default(false);
  }

  const Ends &match(const Node &node, size_t at) {
    auto key = std::make_pair(&node, at);
    auto found = known.find(key);
    if (found != known.end())
      return found->second;
    Ends ends = compute(node, at);
    return known[key] = std::move(ends);
  }

  Ends compute(const Node &node, size_t at) {
    const Token &token = tokens[at];
    switch (node.kind) {
    case Node::Terminal:
      return token.kind != Token::String && token.text == node.text
                 ? Ends{at + 1}
                 : Ends{};
    case Node::Name:
      if (isTokenClass(node.text))
        return matchesClass(node.text, token) ? Ends{at + 1} : Ends{};
      return match(*grammar.rules.at(node.text), at);
    case Node::Special: {
      bool wantsEnd = node.text == "? end of line ?";
      bool ended = token.startsLine || (wantsEnd && token.isMark("}"));
      return ended == wantsEnd ? Ends{at} : Ends{};
    }
    case Node::Choice: {
      Ends ends;
      for (const NodePtr &child : node.children)
        ends.merge(Ends(match(*child, at)));
      return ends;
    }
    case Node::Optional: {
      Ends ends = match(*node.children[0], at);
      ends.insert(at);
      return ends;
    }
    case Node::Repeat:
      return repeat(*node.children[0], at);
    case Node::Sequence:
      break;
    }
    Ends ends = {at};
    for (const NodePtr &child : node.children) {
      Ends next;
      for (size_t end : ends)
        next.merge(Ends(match(*child, end)));
      ends = std::move(next);
    }
    return ends;
  }

  Ends repeat(const Node &node, size_t at) {
    Ends ends = {at};
    std::vector<size_t> open = {at};
    while (!open.empty()) {
      size_t from = open.back();
      open.pop_back();
      for (size_t end : match(node, from))
        if (ends.insert(end).second)
          open.push_back(end);
    }
    return ends;
  }
};

bool Grammar::accepts(const std::vector<Token> &tokens) const {
  Matcher matcher{*this, tokens, {}};
  return matcher.match(*rules.at(start), 0).count(tokens.size() - 1);
}

//===----------------------------------------------------------------------===//
// Generating
//===----------------------------------------------------------------------===//

std::string Grammar::generate(std::mt19937 &random) const {
  std::string out;
  generate(*rules.at(start), random, 0, out);
  return out;
}

void Grammar::generate(const Node &node, std::mt19937 &random, unsigned depth,
                       std::string &out) const {
  auto each = [&](const NodePtr &child) {
    generate(*child, random, depth + 1, out);
  };
  bool deep = depth > 60;
  switch (node.kind) {
  case Node::Terminal:
    out += node.text + " ";
    return;
  case Node::Special:
    out += node.text == "? end of line ?" ? "\n" : "";
    return;
  case Node::Name:
    if (isTokenClass(node.text))
      out += llvm::StringSwitch<const char *>(node.text)
                 .Case("NAME", random() % 2 ? "x " : "D ")
                 .Case("INT", "7 ")
                 .Case("FLOAT", "1e-6 ")
                 .Default("\"text\" ");
    else
      generate(*rules.at(node.text), random, depth + 1, out);
    return;
  case Node::Sequence:
    for (const NodePtr &child : node.children)
      each(child);
    return;
  case Node::Choice:
    each(node.children[deep ? 0 : random() % node.children.size()]);
    return;
  case Node::Optional:
    if (!deep && random() % 2)
      each(node.children[0]);
    return;
  case Node::Repeat:
    for (unsigned count = deep ? 0 : random() % 3; count; --count)
      each(node.children[0]);
    return;
  }
}
