//===- DsRunTest.cpp - The commands of dsrun on the tiny model ------------===//
#include "runtime/Safetensors.h"
#include "test/unit/runtime/FakeModel.h"

#include <chrono>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace ds::runtime;
using namespace ds::test;

namespace {
/// What a run of dsrun left behind.
struct Outcome {
  int exit = -1;
  std::string out, error;
};

/// A folder with weights and a tokenizer of letters, to run dsrun in.
class DsRun : public testing::Test {
protected:
  DsRun();

  /// Starts dsrun with its input from the file `input`.
  pid_t start(const std::vector<std::string> &words,
              const std::string &input = "/dev/null");
  Outcome finish(pid_t process);

  /// Runs `dsrun COMMAND ARTIFACT --weights=DIR WORDS`.
  Outcome run(const std::string &command, std::vector<std::string> words,
              const std::string &input = "") {
    words.insert(words.begin(),
                 {command, fakeArtifact(), "--weights=" + folder.path()});
    return finish(start(words, folder.write("stdin", input)));
  }

  /// Reads the rows of an f32 tensor of `path`.
  std::vector<std::vector<float>> rows(const std::string &path,
                                       const std::string &tensor);

  /// Returns the greedy continuation of `ids`.
  std::vector<int32_t> greedy(std::vector<int32_t> ids, int count);

  /// Returns ids as the letters they stand for.
  static std::string letters(const std::vector<int32_t> &ids);

  TempFolder folder;
  FakeModel model;
};
} // namespace

/// Returns the letter of token `id`, below 39.
static char letterOf(int32_t id) {
  return static_cast<char>(id < 26 ? 'a' + id : 'A' + id - 26);
}

// Ids 0 to 25 are a to z, 26 to 38 are A to M, 39 ends a text.
static std::string tokenizerJson() {
  nlohmann::ordered_json vocabulary;
  for (int i = 0; i < 39; ++i)
    vocabulary[std::string(1, letterOf(i))] = i;
  nlohmann::ordered_json json = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens",
       {{{"id", 39},
         {"content", "<end>"},
         {"single_word", false},
         {"lstrip", false},
         {"rstrip", false},
         {"normalized", false},
         {"special", true}}}},
      {"normalizer", nullptr},
      {"pre_tokenizer",
       {{"type", "ByteLevel"},
        {"add_prefix_space", false},
        {"trim_offsets", true},
        {"use_regex", true}}},
      {"post_processor", nullptr},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model",
       {{"type", "BPE"},
        {"vocab", vocabulary},
        {"merges", nlohmann::ordered_json::array()}}}};
  return json.dump();
}

DsRun::DsRun() {
  model.write(folder);
  folder.write("tokenizer.json", tokenizerJson());
  folder.write(
      "tokenizer_config.json",
      R"({"eos_token": "<end>", "chat_template": "{% for m in messages %})"
      R"({{ m.role[0] }}{{ m.content }}{{ eos_token }}{% endfor %}A"})");
}

pid_t DsRun::start(const std::vector<std::string> &words,
                   const std::string &input) {
  pid_t process = fork();
  if (process != 0)
    return process;
  std::vector<char *> arguments = {const_cast<char *>(DSRUN)};
  for (const std::string &word : words)
    arguments.push_back(const_cast<char *>(word.c_str()));
  arguments.push_back(nullptr);
  int flags = O_WRONLY | O_CREAT | O_TRUNC;
  dup2(open(input.c_str(), O_RDONLY), 0);
  dup2(open((folder.path() + "/stdout").c_str(), flags, 0600), 1);
  dup2(open((folder.path() + "/stderr").c_str(), flags, 0600), 2);
  execv(DSRUN, arguments.data());
  _exit(99);
}

Outcome DsRun::finish(pid_t process) {
  int status = 0;
  waitpid(process, &status, 0);
  Outcome outcome;
  outcome.exit = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  outcome.out = readFile(folder.path() + "/stdout");
  outcome.error =
      replaceAll(readFile(folder.path() + "/stderr"), folder.path(), "DIR");
  return outcome;
}

std::vector<std::vector<float>> DsRun::rows(const std::string &path,
                                            const std::string &tensor) {
  auto checkpoint = Checkpoint::open(path);
  EXPECT_TRUE(checkpoint) << checkpoint.error();
  const Tensor &found = checkpoint->tensors().at(tensor);
  EXPECT_EQ(found.dtype, "F32");
  std::vector<std::vector<float>> rows(found.shape[0]);
  uint64_t bytes = found.shape[1] * sizeof(float), at = found.begin;
  for (std::vector<float> &row : rows) {
    row.resize(found.shape[1]);
    EXPECT_FALSE(checkpoint->file(found).read(at, bytes, row.data()));
    at += bytes;
  }
  return rows;
}

std::vector<int32_t> DsRun::greedy(std::vector<int32_t> ids, int count) {
  std::vector<int32_t> out;
  for (int i = 0; i < count; ++i) {
    std::vector<float> logits = model.run(ids).logits.back();
    int32_t best = static_cast<int32_t>(
        std::max_element(logits.begin(), logits.end()) - logits.begin());
    ids.push_back(best);
    out.push_back(best);
  }
  return out;
}

std::string DsRun::letters(const std::vector<int32_t> &ids) {
  std::string text;
  for (int32_t id : ids)
    if (id < 39)
      text += letterOf(id);
  return text;
}

static std::string commas(const std::vector<int32_t> &ids) {
  std::string text;
  for (int32_t id : ids)
    text += (text.empty() ? "" : ",") + std::to_string(id);
  return text;
}

TEST_F(DsRun, LogitsAreTheSameHoweverTheyAreMade) {
  std::vector<int32_t> first = randomIds(100, 1), second = randomIds(7, 2);
  std::string ids =
      folder.write("ids.json", "{\"one\":[" + commas(first) + "],\"two\":[" +
                                   commas(second) + "]}");
  std::string out = folder.path() + "/out.safetensors";
  for (std::vector<std::string> how :
       {std::vector<std::string>{},
        {"--chunk=1"},
        {"--batch"},
        {"--batch", "--chunk", "13", "--threads=2"},
        {"--permute-pages", "--poison-free-pages", "--step-tokens=9"}}) {
    how.insert(how.end(), {"--ids=" + ids, "--out=" + out, "--hidden"});
    Outcome outcome = run("logits", how);
    ASSERT_EQ(outcome.exit, 0) << outcome.error;
    EXPECT_EQ(outcome.out + outcome.error, "");
    EXPECT_EQ(rows(out, "one.logits"), model.run(first).logits);
    EXPECT_EQ(rows(out, "two.logits"), model.run(second).logits);
    FakeResult result = model.run(first);
    const char *names[] = {"0", "1", "2", "final"};
    for (int place = 0; place < 4; ++place) {
      std::vector<float> all;
      for (const auto &row :
           rows(out, std::string("one.hidden.") + names[place]))
        all.insert(all.end(), row.begin(), row.end());
      EXPECT_EQ(all, result.hidden[place]) << names[place];
    }
  }
}

TEST_F(DsRun, GenerateFromIds) {
  std::vector<int32_t> ids = randomIds(9, 3), expected = greedy(ids, 20);
  Outcome outcome = run(
      "generate", {"--ids=" + commas(ids), "--max-tokens=20", "--ignore-eos"});
  EXPECT_EQ(outcome.exit, 0) << outcome.error;
  EXPECT_EQ(outcome.out, commas(expected) + "\n");
}

TEST_F(DsRun, GenerateFromText) {
  std::vector<int32_t> ids = {7, 4, 11, 11, 14};
  Outcome outcome = run("generate", {"--prompt", "hello", "--max-tokens=12",
                                     "--ignore-eos", "--echo", "--verbose"});
  EXPECT_EQ(outcome.exit, 0) << outcome.error;
  EXPECT_EQ(outcome.out, "hello" + letters(greedy(ids, 12)) + "\n");
  EXPECT_EQ(outcome.error.substr(0, 19), "prompt: 5 tokens in");
}

TEST_F(DsRun, GenerateStopsAtTheEnd) {
  // Some seed leads to the end.
  for (int seed = 1; seed < 50; ++seed) {
    std::vector<std::string> words = {"--ids=3", "--temperature=9",
                                      "--max-tokens=60",
                                      "--seed=" + std::to_string(seed)};
    std::string shorter = run("generate", words).out;
    words.push_back("--ignore-eos");
    std::string whole = run("generate", words).out;
    size_t end = whole.find(",39,");
    if (end == std::string::npos || whole.substr(0, 3) == "39,")
      continue;
    EXPECT_EQ(shorter, whole.substr(0, end) + "\n");
    return;
  }
  FAIL() << "no seed leads to the end";
}

TEST_F(DsRun, GenerateWithASeedIsRepeated) {
  auto generate = [&](const std::string &seed) {
    return run("generate", {"--ids=3,4", "--temperature=1", "--seed", seed,
                            "--max-tokens=40", "--ignore-eos"})
        .out;
  };
  EXPECT_EQ(generate("5"), generate("5"));
  EXPECT_NE(generate("5"), generate("6"));
}

TEST_F(DsRun, GenerateStopsAtTheModelsLimit) {
  Outcome outcome = run("generate", {"--ids=" + commas(randomIds(298, 4)),
                                     "--max-tokens=50", "--ignore-eos"});
  EXPECT_EQ(outcome.exit, 0) << outcome.error;
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), ','), 2);
}

TEST_F(DsRun, ChatAnswersByTheTemplate) {
  Outcome outcome = run("chat", {"--max-tokens=5"}, "abc\n\nd\n/exit\nno\n");
  ASSERT_EQ(outcome.exit, 0) << outcome.error;
  auto answer = [&](const std::string &prompt) {
    std::vector<int32_t> ids;
    for (char c : prompt)
      ids.push_back(c == '$' ? 39 : c >= 'a' ? c - 'a' : c - 'A' + 26);
    std::vector<int32_t> all = greedy(ids, 5);
    return letters(std::vector<int32_t>(all.begin(),
                                        std::find(all.begin(), all.end(), 39)));
  };
  std::string first = answer("uabc$A");
  std::string second = answer("uabc$a" + first + "$ud$A");
  EXPECT_EQ(outcome.out, first + "\n" + second + "\n");
}

TEST_F(DsRun, EvalGivesPerplexity) {
  std::string text = "thequickbrownfoxjumpsoverthelazydog";
  folder.write("text", text);
  std::vector<int32_t> ids;
  for (char c : text)
    ids.push_back(c - 'a');
  auto expected = [&](size_t window) {
    double sum = 0;
    int count = 0;
    for (size_t begin = 0; begin < ids.size(); begin += window) {
      std::vector<int32_t> part(ids.begin() + begin,
                                ids.begin() +
                                    std::min(ids.size(), begin + window));
      FakeResult result = model.run(part);
      for (size_t i = 0; i + 1 < part.size(); ++i, ++count) {
        double total = 0;
        for (float logit : result.logits[i])
          total += std::exp(static_cast<double>(logit));
        sum += std::log(total) - result.logits[i][part[i + 1]];
      }
    }
    return std::exp(sum / count);
  };
  for (size_t window : {300, 10}) {
    Outcome outcome = run("eval", {"--file=" + folder.path() + "/text",
                                   "--context=" + std::to_string(window)});
    ASSERT_EQ(outcome.exit, 0) << outcome.error;
    size_t at = outcome.out.find("perplexity  ");
    ASSERT_NE(at, std::string::npos) << outcome.out;
    EXPECT_NEAR(std::stod(outcome.out.substr(at + 12)) / expected(window), 1,
                1e-4);
  }
}

TEST_F(DsRun, BenchPrintsEveryTest) {
  Outcome outcome = run("bench", {"--prefill=3,70", "--decode=5", "--batch=4",
                                  "--repeat=2", "--json", "--threads=1"});
  ASSERT_EQ(outcome.exit, 0) << outcome.error;
  auto json = nlohmann::json::parse(outcome.out);
  ASSERT_EQ(json.size(), 4u);
  EXPECT_EQ(json[1]["test"], "prefill 70");
  EXPECT_EQ(json[2]["past"], 5);
  EXPECT_EQ(json[3]["test"], "decode at 0 x 4");
  EXPECT_EQ(json[3]["seconds"].size(), 2u);
  EXPECT_GT(json[3]["tokens_per_second"], 0);
}

TEST_F(DsRun, InspectNamesEverything) {
  Outcome outcome = finish(start({"inspect", fakeArtifact()}));
  ASSERT_EQ(outcome.exit, 0) << outcome.error;
  for (const char *word :
       {"fake, f32, by hand", "layer.pair", "rows of layers.{i}.up.weight",
        "panel_bf16, paired, layers 0 to 1", "1 heads of 12 f32, 2 layers",
        "mix_m1 (up to 1) mix", "for layers 0 to 1\n    keep(x, seq, keys"})
    EXPECT_NE(outcome.out.find(word), std::string::npos) << word;
  outcome = finish(start({"inspect", fakeArtifact(), "--json"}));
  EXPECT_EQ(outcome.out, fakeManifest() + "\n");
}

TEST_F(DsRun, MistakesAreErrors) {
  auto expect = [&](const Outcome &outcome, const std::string &message) {
    EXPECT_EQ(outcome.exit, 1);
    EXPECT_EQ(outcome.error, "dsrun: error: " + message + "\n");
    EXPECT_EQ(outcome.out, "");
  };
  std::string longIds = "--ids=" + commas(randomIds(301, 1));
  expect(run("generate", {longIds}),
         "the prompt has 301 tokens, and the model's limit "
         "(max_position_embeddings) is 300");
  expect(run("generate", {"--ids=1,x"}),
         "expects token ids such as 1,2,3, found 'x'");
  expect(run("generate", {"--ids=1,40"}),
         "expects token ids from 0 to 39, found 40");
  expect(run("generate", {}), "expects one of --prompt, --file and --ids");
  expect(run("generate", {"--ids=1", "--max-token=3"}),
         "unknown option '--max-token'; did you mean '--max-tokens'?");
  expect(run("generate", {"--ids=1", "--top-k=x"}),
         "expects --top-k (x) to be a whole number of at least 0");
  expect(run("generate", {"--ids=1", "--variant=amx"}),
         "cannot run '" + fakeArtifact() +
             "': the artifact has no variant 'amx'; it has avx2");
  const std::string headless = ": the artifact has no draft head; models with "
                               "num_nextn_predict_layers have one";
  expect(run("generate", {"--ids=1", "--speculate"}), "--speculate" + headless);
  expect(run("bench", {"--speculate=4", "--repeat=1"}),
         "--speculate" + headless);
  expect(run("logits", {"--ids=" + folder.write("i.json", "{\"a\": [1]}"),
                        "--out=" + folder.path() + "/o", "--mtp"}),
         "--mtp" + headless);
  expect(run("generate", {"--ids=1", "--guesses=2"}),
         "--guesses: expects --speculate");
  expect(run("bench", {"--decode=1", "--temperature=2"}),
         "--temperature: expects --speculate");
  expect(run("eval", {"--file=DIR/none"}),
         "cannot open 'DIR/none': No such file or directory");
  expect(finish(start({"generat"})),
         "unknown command 'generat'; did you mean 'generate'?");
  expect(finish(start({"logits"})), "expects ARTIFACT: the model that dscc "
                                    "compiled; see dsrun logits --help");
  expect(finish(start({"inspect", "/none.so"})),
         "cannot open '/none.so': No such file or directory");
}

TEST_F(DsRun, MistakesInPrompts) {
  auto logits = [&](const std::string &json) {
    std::string ids = folder.write("ids.json", json);
    Outcome outcome = run("logits", {"--ids=" + ids, "--out=" + folder.path() +
                                                         "/out.safetensors"});
    EXPECT_EQ(outcome.exit, 1);
    EXPECT_FALSE(std::filesystem::exists(folder.path() + "/out.safetensors"));
    return outcome.error;
  };
  EXPECT_EQ(logits("[1]"), "dsrun: error: expects 'DIR/ids.json' to be a JSON "
                           "object {\"name\": [token ids]}\n");
  EXPECT_EQ(
      logits("{\"a\": [1.5]}"),
      "dsrun: error: expects prompt 'a' of 'DIR/ids.json' to be a list of "
      "token ids\n");
  EXPECT_EQ(logits("{\"a\": [1], \"b\": [" + commas(randomIds(301, 1)) + "]}"),
            "dsrun: error: prompt 'b' has 301 tokens, and the model's limit "
            "(max_position_embeddings) is 300\n");
  EXPECT_EQ(logits("{\"a\": [77]}"),
            "dsrun: error: expects token ids from 0 to 39, found 77\n");
}

TEST_F(DsRun, InterruptionLeavesNoFile) {
  std::string json = "{";
  for (int i = 0; i < 3000; ++i)
    json += (i ? ",\"" : "\"") + std::to_string(i) + "\":[" +
            commas(randomIds(300, i)) + "]";
  folder.write("ids.json", json + "}");
  std::string out = folder.path() + "/out.safetensors";
  pid_t process = start({"logits", fakeArtifact(), "--weights=" + folder.path(),
                         "--ids=" + folder.path() + "/ids.json", "--out=" + out,
                         "--chunk=1"});
  std::string temporary = out + ".tmp." + std::to_string(process);
  for (int i = 0; i < 1000 && !std::filesystem::exists(temporary); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_TRUE(std::filesystem::exists(temporary));
  kill(process, SIGINT);
  Outcome outcome = finish(process);
  EXPECT_EQ(outcome.exit, 130);
  EXPECT_EQ(outcome.out + outcome.error, "");
  EXPECT_FALSE(std::filesystem::exists(temporary));
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST_F(DsRun, InterruptionKeepsWhatWasSaid) {
  // The input stays open, so that chat waits for the next message.
  std::string pipe = folder.path() + "/pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  pid_t process = start({"chat", fakeArtifact(), "--weights=" + folder.path(),
                         "--max-tokens=5", "--ignore-eos"},
                        pipe);
  int input = open(pipe.c_str(), O_WRONLY);
  ASSERT_EQ(write(input, "abc\n", 4), 4);
  std::string out = folder.path() + "/stdout";
  for (int i = 0; i < 1000 && readFile(out).find('\n') == std::string::npos;
       ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  kill(process, SIGINT);
  Outcome outcome = finish(process);
  close(input);
  EXPECT_EQ(outcome.exit, 130);
  std::vector<int32_t> answer = greedy({20, 0, 1, 2, 39, 26}, 5);
  EXPECT_EQ(outcome.out, letters(answer) + "\n");
  EXPECT_EQ(outcome.error, "");
}

TEST_F(DsRun, HelpNamesEveryCommand) {
  Outcome outcome = finish(start({"--help"}));
  EXPECT_EQ(outcome.exit, 0);
  for (const char *command :
       {"generate", "chat", "bench", "inspect", "eval", "logits", "tokenize"}) {
    EXPECT_NE(outcome.out.find(std::string("\n  ") + command),
              std::string::npos);
    Outcome help = finish(start({command, "--help"}));
    EXPECT_EQ(help.exit, 0) << command;
    EXPECT_EQ(help.out.find("Usage: dsrun " + std::string(command)), 0u)
        << help.out;
  }
  EXPECT_EQ(finish(start({})).exit, 1);
  EXPECT_EQ(finish(start({"--version"})).out, "dsrun 0.1.0\n");
}
