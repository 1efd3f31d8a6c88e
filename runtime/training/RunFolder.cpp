//===- RunFolder.cpp - Checkpoints of a training run ----------------------===//
#include "runtime/training/RunFolder.h"
#include "runtime/File.h"
#include "runtime/training/TrainedTensors.h"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <unistd.h>

using namespace ds::runtime;
namespace fs = std::filesystem;

static constexpr const char *stateFile = "trainer.json";
static constexpr const char *optimiserFile = "optimizer.safetensors";
static constexpr const char *temporarySuffix = ".tmp";

/// What a Hugging Face folder has beside its weights.
static constexpr const char *companions[] = {
    "config.json",           "generation_config.json",
    "tokenizer.json",        "tokenizer_config.json",
    "chat_template.jinja",   "special_tokens_map.json",
    "added_tokens.json",     "merges.txt",
    "vocab.json"};

/// Brings a file or folder to the disk.
static Status sync(const std::string &path) {
  int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  int done = descriptor < 0 ? -1 : fsync(descriptor);
  int error = errno;
  if (descriptor >= 0)
    close(descriptor);
  if (done != 0)
    return failure("cannot write '", path, "' to the disk: ", strerror(error));
  return std::nullopt;
}

Status ds::runtime::writeDurably(const std::string &path,
                              const std::string &content) {
  std::string temporary = path + temporarySuffix;
  int descriptor = open(temporary.c_str(),
                        O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  bool good = descriptor >= 0;
  for (size_t at = 0; good && at < content.size();) {
    ssize_t put = write(descriptor, content.data() + at, content.size() - at);
    good = put >= 0 || errno == EINTR;
    at += put > 0 ? static_cast<size_t>(put) : 0;
  }
  good = good && fsync(descriptor) == 0;
  int error = errno;
  if (descriptor >= 0)
    close(descriptor);
  if (good && rename(temporary.c_str(), path.c_str()) == 0)
    return std::nullopt;
  error = good ? errno : error;
  unlink(temporary.c_str());
  return failure("cannot write '", path, "': ", strerror(error));
}

/// The number N of "step-N", or -1.
static int64_t parseStep(const std::string &name) {
  constexpr size_t prefix = 5;
  int64_t step = -1;
  const char *end = name.data() + name.size();
  if (name.rfind("step-", 0) != 0 ||
      std::from_chars(name.data() + prefix, end, step).ptr != end)
    return -1;
  return step;
}

Result<std::optional<SavedStep>>
ds::runtime::findLastStep(const std::string &folder) {
  std::error_code code;
  std::optional<SavedStep> last;
  std::vector<fs::path> leftovers;
  for (const fs::directory_entry &entry : fs::directory_iterator(folder, code)) {
    std::string name = entry.path().filename();
    if (name.rfind("step-", 0) == 0 &&
        entry.path().extension() == temporarySuffix)
      leftovers.push_back(entry.path());
    int64_t step = parseStep(name);
    if (step < 0 || !fs::exists(entry.path() / stateFile, code) ||
        (last && last->step > step))
      continue;
    last = SavedStep{step, entry.path(), {}};
  }
  if (code)
    return failure("cannot read '", folder, "': ", code.message());
  for (const fs::path &path : leftovers)
    fs::remove_all(path, code);
  if (!last)
    return last;
  std::string path = last->path + "/" + stateFile;
  Result<std::string> text = readWholeFile(path);
  if (!text)
    return text.takeError();
  last->state = nlohmann::json::parse(*text, nullptr, false);
  if (!last->state.is_object())
    return failure("'", path, "' is not JSON");
  return last;
}

/// Returns a config.json of weights that are not FP8, as those of a run are.
static Result<std::string> dropQuantisation(const std::string &text) {
  constexpr const char *key = "quantization_config";
  auto config = nlohmann::ordered_json::parse(text, nullptr, false);
  if (!config.is_object() || !config.contains(key))
    return text;
  config.erase(key);
  return config.dump(2) + "\n";
}

Status ds::runtime::copyCompanions(const std::vector<std::string> &sources,
                                   const std::string &to,
                                   const ConfigEdit &editConfig) {
  for (const char *name : companions)
    for (const std::string &source : sources) {
      std::string from = source + "/" + name;
      if (source.empty() || !fileExists(from))
        continue;
      Result<std::string> content = readWholeFile(from);
      if (!content)
        return Error{content.error()};
      if (name == std::string("config.json"))
        content = editConfig(*content);
      if (!content)
        return failure("'", from, "': ", content.error());
      if (Status error = writeDurably(to + "/" + name, *content))
        return error;
      break;
    }
  return std::nullopt;
}

static Status writeWeights(const std::string &path, const Trainer &trainer,
                           bool f32) {
  std::vector<TensorPlan> plans = planTensors(trainer, "", !f32, true);
  size_t own = plans.size();
  for (TensorPlan &plan : planCopies(trainer, !f32))
    plans.push_back(std::move(plan));
  Result<TensorWriter> writer = TensorWriter::create(path, plans);
  if (!writer)
    return Error{writer.error()};
  if (Status error =
          writeTensors(trainer, TrainedCopy::Master, true, 0, *writer))
    return error;
  if (Status error = writeCopies(trainer, own, *writer))
    return error;
  return writer->finish(/*sync=*/true);
}

/// The copies of the optimiser's file, by prefix.
static constexpr std::pair<const char *, TrainedCopy> optimiserCopies[] = {
    {"master.", TrainedCopy::Master},
    {"m.", TrainedCopy::Moment1},
    {"v.", TrainedCopy::Moment2}};

static Status writeOptimiser(const std::string &path, const Trainer &trainer) {
  std::vector<TensorPlan> plans;
  std::vector<size_t> begins;
  for (auto [prefix, copy] : optimiserCopies) {
    begins.push_back(plans.size());
    bool frozen = copy == TrainedCopy::Master;
    for (TensorPlan &plan : planTensors(trainer, prefix, false, frozen))
      plans.push_back(std::move(plan));
  }
  Result<TensorWriter> writer = TensorWriter::create(path, plans);
  if (!writer)
    return Error{writer.error()};
  for (size_t i = 0; i < begins.size(); ++i) {
    TrainedCopy copy = optimiserCopies[i].second;
    if (Status error = writeTensors(
            trainer, copy, copy == TrainedCopy::Master, begins[i], *writer))
      return error;
  }
  return writer->finish(/*sync=*/true);
}

Status ds::runtime::saveStep(const std::string &folder, int64_t step,
                          const Trainer &trainer, const nlohmann::json &state,
                          const std::vector<std::string> &sources, bool f32) {
  std::string path = folder + "/step-" + std::to_string(step);
  std::string temporary = path + temporarySuffix;
  std::error_code code;
  fs::remove_all(temporary, code);
  fs::create_directories(temporary, code);
  if (code)
    return failure("cannot create '", temporary, "': ", code.message());
  Status error = copyCompanions(sources, temporary, dropQuantisation);
  if (!error)
    error = writeWeights(temporary + "/model.safetensors", trainer, f32);
  if (!error)
    error = writeOptimiser(temporary + "/" + optimiserFile, trainer);
  if (!error)
    error = writeDurably(temporary + "/" + stateFile, state.dump(1) + "\n");
  if (!error)
    error = sync(temporary);
  if (error) {
    fs::remove_all(temporary, code);
    return error;
  }
  fs::remove_all(path, code);
  fs::rename(temporary, path, code);
  if (code)
    return failure("cannot rename '", temporary, "': ", code.message());
  return sync(folder);
}

Status ds::runtime::loadStep(Trainer &trainer, const SavedStep &saved) {
  std::string path = saved.path + "/" + optimiserFile;
  for (auto [prefix, copy] : optimiserCopies)
    if (Status error = loadTensors(trainer, copy, path, prefix))
      return error;
  trainer.setSteps(saved.step);
  return std::nullopt;
}
