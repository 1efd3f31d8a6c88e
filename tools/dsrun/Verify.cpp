//===- Verify.cpp - dsrun verify ------------------------------------------===//
//
// Runs an artifact beside one that `dscc --reference` made of the same text and
// compares every value that both have. The reference then goes on with the
// value of the artifact: what an operation is charged with is its own error,
// and a choice between equals does not part the two.
//
//===----------------------------------------------------------------------===//
#include "tools/dsrun/Commands.h"
#include "tools/dsrun/Ids.h"
#include "tools/dsrun/Session.h"
#include "tools/dsrun/Terminal.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <random>
#include <set>

using namespace ds::tool;
using namespace ds::runtime;

// Errors are counted in what is large in a value. Of f32, sums in another
// order; of bf16, a few roundings to 8 bits.
static constexpr float toleranceF32 = 2e-5F, toleranceBf16 = 2e-2F;
static constexpr size_t listedDrifts = 8;

namespace {
struct VerifyOptions {
  SessionOptions session;
  std::string reference, ids;
  float tolerance = 0;
  int64_t generated = 4;
  bool list = false;
};

/// How far a value is from what it should be.
struct Distance {
  double error = 0; ///< By the size of the value; of integers, a share.
  int64_t row = 0, column = 0;
  float found = 0, expected = 0;
};

/// The root mean square of a value in all steps so far: in a row of few
/// elements what is left of a sum may be as small as its roundings.
class Size {
public:
  double add(const std::vector<float> &values) {
    for (float value : values)
      if (std::isfinite(value))
        squares += double(value) * value;
    count += static_cast<double>(values.size());
    return std::sqrt(squares / std::max(count, 1.0));
  }

private:
  double squares = 0, count = 0;
};

/// What was seen of a value, in all layers and steps.
struct Record {
  std::string name, place;
  int64_t layer = -1; ///< Of the greatest error.
  int64_t compared = 0;
  Distance worst;
  std::string step; ///< Where the worst was.
  bool drifts = false;
};

class Verification {
public:
  Verification(const VerifyOptions &options, Session &fast, Session &reference)
      : options(options), fast(fast), reference(reference),
        tolerance(options.tolerance > 0               ? options.tolerance
                  : fast.manifest().compute == "bf16" ? toleranceBf16
                                                      : toleranceF32) {}

  Status run(const std::vector<Prompt> &prompts);
  int report() const;

private:
  using Key = std::pair<std::string, int64_t>;

  Status check() const;
  Status runPrompt(const Prompt &prompt);
  Status runStep(StepItem item, StepItem other, const std::string &what);
  bool compare(StepValue &value, const std::string &what);
  void note(const StepValue &value, const Distance &distance,
            const std::string &what);

  const VerifyOptions &options;
  Session &fast, &reference;
  float tolerance;
  std::map<Key, StepValue> made; ///< By the artifact in the step at hand.
  std::set<Key> missing;         ///< Those that the reference has yet to make.
  std::vector<Record> records;   ///< In the order of the program.
  std::map<std::string, size_t> byName;
  std::map<Key, Size> sizes;
  Status failed;
  int64_t values = 0, tokens = 0;
};
} // namespace

static Distance measureIntegers(const StepValue &found,
                                const StepValue &expected) {
  Distance distance;
  int64_t different = 0;
  for (size_t i = 0; i < expected.values.size(); ++i) {
    if (found.values[i] == expected.values[i])
      continue;
    if (different++ > 0)
      continue;
    distance.row = static_cast<int64_t>(i) / expected.columns;
    distance.column = static_cast<int64_t>(i) % expected.columns;
    distance.found = found.values[i], distance.expected = expected.values[i];
  }
  distance.error =
      static_cast<double>(different) /
      static_cast<double>(std::max<size_t>(1, expected.values.size()));
  return distance;
}

/// The greatest difference of a row's elements over the row's greatest element,
/// or `size` where that is more. Infinities have to agree; a NaN is as far as
/// can be.
static Distance measure(const StepValue &found, const StepValue &expected,
                        double size) {
  if (expected.isInteger)
    return measureIntegers(found, expected);
  Distance distance;
  for (int64_t row = 0; row < expected.rows; ++row) {
    const float *a = found.values.data() + row * expected.columns;
    const float *b = expected.values.data() + row * expected.columns;
    double most = size;
    for (int64_t i = 0; i < expected.columns; ++i)
      if (std::isfinite(b[i]))
        most = std::max(most, std::abs(double(b[i])));
    for (int64_t i = 0; i < expected.columns; ++i) {
      if (a[i] == b[i])
        continue;
      double error = std::abs(double(a[i]) - b[i]) / (most > 0 ? most : 1);
      if (!std::isfinite(error))
        error = INFINITY;
      if (error > distance.error)
        distance = {error, row, i, a[i], b[i]};
    }
  }
  return distance;
}

void Verification::note(const StepValue &value, const Distance &distance,
                        const std::string &what) {
  auto [it, added] = byName.try_emplace(value.name, records.size());
  if (added) {
    records.emplace_back();
    records.back().name = value.name, records.back().place = value.place;
  }
  Record &record = records[it->second];
  ++record.compared, ++values;
  if (added || distance.error > record.worst.error) {
    record.worst = distance;
    record.layer = value.layer, record.step = what;
  }
  double bar = value.isInteger ? 0 : tolerance;
  record.drifts |= !(distance.error <= bar);
}

/// Compares a value of the reference with that of the artifact, which takes its
/// place.
bool Verification::compare(StepValue &value, const std::string &what) {
  Key key{value.name, value.layer};
  auto it = made.find(key);
  if (it == made.end())
    return false; // Part of another kernel there.
  const StepValue &found = it->second;
  missing.erase(key);
  if (found.rows != value.rows || found.columns != value.columns) {
    if (!failed)
      failed =
          failure("'", value.name, "' has ", found.rows, " x ", found.columns,
                  " elements in ", options.session.artifact, " and ",
                  value.rows, " x ", value.columns, " in ", options.reference,
                  ": compile both from one text and configuration");
    return false;
  }
  double size = sizes[key].add(value.values);
  note(value, measure(found, value, size), what);
  value.values = found.values;
  return true;
}

Status Verification::runStep(StepItem item, StepItem other,
                             const std::string &what) {
  made.clear(), missing.clear();
  fast.engine().watchValues([&](StepValue &value) {
    Key key{value.name, value.layer};
    missing.insert(key);
    made[key] = value;
    return false;
  });
  if (Status error = fast.engine().step({item}))
    return error;
  reference.engine().watchValues(
      [&](StepValue &value) { return compare(value, what); });
  if (Status error = reference.engine().step({other}))
    return error;
  if (failed)
    return failed;
  if (!missing.empty())
    return failure("the reference makes no value '", missing.begin()->first,
                   "': compile both from one text and configuration");
  tokens += item.count;
  return std::nullopt;
}

/// The last tokens have the role of generated ones, one step each.
Status Verification::runPrompt(const Prompt &prompt) {
  auto total = static_cast<int64_t>(prompt.ids.size());
  if (Status error = fast.checkLength("prompt '" + prompt.name + "'", total))
    return error;
  if (Status error = fast.makeState(total))
    return error;
  if (Status error = reference.makeState(total))
    return error;
  Sequence here(fast.state()), there(reference.state());
  int64_t first = std::max<int64_t>(total - options.generated, 1);
  while (here.length() < total) {
    int64_t at = here.length();
    bool generated = at >= first;
    int64_t count =
        generated ? 1 : std::min(options.session.stepTokens, first - at);
    StepItem item{&here, prompt.ids.data() + at, count, 0};
    item.generated = generated;
    StepItem other = item;
    other.sequence = &there;
    std::string what = join("prompt '", prompt.name, "', position ", at);
    if (Status error = runStep(item, other, what))
      return error;
    if (interrupted())
      return failure("interrupted");
  }
  return std::nullopt;
}

Status Verification::check() const {
  const Manifest &a = fast.manifest(), &b = reference.manifest();
  if (a.compute != b.compute)
    return failure("expects artifacts of one --compute, got ", a.compute,
                   " and ", b.compute);
  if (a.model != b.model || a.config.all != b.config.all)
    return failure("expects artifacts of one model and configuration");
  for (const KernelSpec &kernel : b.kernels)
    if (kernel.family != "reference" && kernel.family != "elementwise")
      return failure(options.reference, " was not made by dscc --reference");
  return std::nullopt;
}

Status Verification::run(const std::vector<Prompt> &prompts) {
  if (Status error = check())
    return error;
  for (const Prompt &prompt : prompts)
    if (Status error = runPrompt(prompt))
      return error;
  if (values == 0)
    return failure(options.session.artifact,
                   " does not say which values it makes: compile it again");
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// The report
//===----------------------------------------------------------------------===//

static std::string describe(const Record &record) {
  std::string text = record.name;
  if (!record.place.empty())
    text = record.place + ": " + text;
  if (record.layer >= 0)
    text += join(", layer ", record.layer);
  return text;
}

static void printDrift(const Record &record) {
  const Distance &worst = record.worst;
  printf("%s\n    error %.3g: %.9g where %.9g is expected, row %lld, column "
         "%lld, %s\n",
         describe(record).c_str(), worst.error, worst.found, worst.expected,
         static_cast<long long>(worst.row),
         static_cast<long long>(worst.column), record.step.c_str());
}

int Verification::report() const {
  if (options.list)
    for (const Record &record : records)
      printf("%-10.3g %s\n", record.worst.error, describe(record).c_str());
  std::vector<const Record *> drifting;
  const Record *worst = nullptr;
  for (const Record &record : records) {
    if (record.drifts)
      drifting.push_back(&record);
    if (!worst || record.worst.error > worst->worst.error)
      worst = &record;
  }
  printf("%lld values of %zu operations compared, %lld tokens, tolerance %g\n",
         static_cast<long long>(values), records.size(),
         static_cast<long long>(tokens), tolerance);
  if (drifting.empty()) {
    printf("none drifts; the greatest error is %.3g: %s\n", worst->worst.error,
           describe(*worst).c_str());
    return exitDone;
  }
  printf("the first that drifts is ");
  for (size_t i = 0; i < std::min(drifting.size(), listedDrifts); ++i) {
    if (i == 1)
      printf("and then\n");
    printDrift(*drifting[i]);
  }
  if (drifting.size() > listedDrifts)
    printf("and %zu more\n", drifting.size() - listedDrifts);
  return exitError;
}

/// Two prompts of random tokens; the longer one fills pages of state, and is
/// more than sparse attention of small models reads.
static std::vector<Prompt> makePrompts(const ModelConfig &config) {
  std::mt19937 random(1);
  std::vector<Prompt> prompts;
  for (int64_t length : {7, 150}) {
    length = std::min(length, config.positions);
    Prompt prompt;
    prompt.name = "random-" + std::to_string(length);
    for (int64_t i = 0; i < length; ++i)
      prompt.ids.push_back(
          static_cast<int32_t>(random() % uint64_t(config.vocabulary)));
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

int ds::tool::runVerify(const Words &words) {
  VerifyOptions options;
  CommandLine line("dsrun verify", "ARTIFACT REFERENCE --weights=DIR [options]",
                   "Runs an artifact beside its reference and names the first "
                   "operation of the\nmodel's text that drifts from what it "
                   "means. Exits with 1 if one does.");
  options.session.declare(line);
  line.positional(options.reference, "REFERENCE",
                  "the same model, compiled with dscc --reference");
  line.group("Comparison");
  line.option(
      options.ids, "ids", "FILE",
      "prompts, a JSON object {\"name\": [token ids]}; default: random\n"
      "ones of 7 and 150 tokens");
  line.option(options.generated, "generated", "N",
              "tokens at the end of each prompt that have the role of\n"
              "generated ones, a step each (4)",
              /*minimum=*/0);
  line.option(options.tolerance, "tolerance", "X",
              "difference, by the size of the value, that is no drift;\n"
              "default: 2e-5, with --compute=bf16 2e-2");
  line.flag(options.list, "list", "print the error of every operation");
  Result<bool> parsed = line.parse(words);
  if (!parsed)
    return reportError(parsed.error());
  if (!*parsed)
    return exitDone;
  int64_t outputs = options.session.stepTokens;
  auto fast = Session::open(options.session, outputs);
  if (!fast)
    return reportError(fast.error());
  SessionOptions other = options.session;
  other.artifact = options.reference;
  other.variant.clear();
  auto reference = Session::open(other, outputs);
  if (!reference)
    return reportError(reference.error());
  std::vector<Prompt> prompts = makePrompts((*fast)->config());
  if (!options.ids.empty()) {
    Result<std::vector<Prompt>> given = readPrompts(options.ids);
    if (!given)
      return reportError(given.error());
    prompts = std::move(*given);
  }
  Verification verification(options, **fast, **reference);
  if (Status error = verification.run(prompts))
    return reportError(error->message);
  return verification.report();
}
