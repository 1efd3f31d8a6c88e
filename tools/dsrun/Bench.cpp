//===- Bench.cpp - dsrun bench --------------------------------------------===//
//
// Measures prefill, decode at depths and batches, each beside what the machine
// can do at that moment: between any two samples memory is read for some
// milliseconds by the same threads, and a decoded token is set beside the reads
// before and after it.
//
//===----------------------------------------------------------------------===//
#include "tools/dsrun/Bench.h"
#include "tools/dsrun/Commands.h"
#include "tools/dsrun/Ids.h"
#include "tools/dsrun/Probe.h"
#include "tools/dsrun/Terminal.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <iostream>
#include <numeric>

using namespace ds::tool;
using namespace ds::runtime;

static constexpr double quietCpus = 0.12;

double ds::tool::median(std::vector<double> values) {
  if (values.empty())
    return 0;
  std::sort(values.begin(), values.end());
  size_t middle = values.size() / 2;
  return values.size() % 2 ? values[middle]
                           : (values[middle - 1] + values[middle]) / 2;
}

std::string BenchCase::name() const {
  std::string text =
      kind == Prefill ? join("prefill ", rows) : join("decode at ", past);
  return sequences == 1 ? text : join(text, " x ", sequences);
}

StepShape BenchCase::shape() const {
  return StepShape::of(static_cast<double>(sequences),
                       static_cast<double>(past), static_cast<double>(rows),
                       static_cast<double>(sequences), isDecoding());
}

Bench::Bench(Session &session, const BenchOptions &options)
    : session(session), options(options),
      reads(session.threadPool(), session.modelWeights().packedMemory(),
            session.modelWeights().packedBytes()) {
  uint64_t random = 1;
  for (int32_t &id : ids) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    id = static_cast<int32_t>((random >> 33) % session.config().vocabulary);
  }
}

double Bench::productRate() {
  return measureProducts(session.threadPool(), session.variant(),
                         session.manifest().compute == "bf16", 20);
}

double Bench::blockedProductRate() {
  return measureBlockedProducts(session.threadPool(), session.variant(),
                                session.manifest().compute == "bf16", 20);
}

/// Appends `count` tokens to every sequence, in steps within the limits.
Status Bench::append(std::vector<Sequence> &sequences, int64_t count,
                     bool generated) {
  for (int64_t done = 0; done < count;) {
    int64_t rows = std::min<int64_t>(count - done, ids.size());
    bool last = done + rows == count;
    std::vector<StepItem> items;
    for (size_t i = 0; i < sequences.size(); ++i) {
      items.push_back(
          {&sequences[i], ids.data(), rows, last ? rows - 1 : rows});
      items.back().generated = generated;
    }
    if (Status error = session.engine().step(items))
      return error;
    if (interrupted())
      return failure("interrupted");
    done += rows;
  }
  return std::nullopt;
}

/// Runs a case once more after `past` tokens; returns the seconds.
Result<double> Bench::sample(const BenchCase &what,
                             std::vector<Sequence> &sequences) {
  double start = now();
  if (Status error = append(sequences, what.rows, what.isDecoding()))
    return *error;
  double seconds = now() - start;
  for (Sequence &sequence : sequences)
    sequence.truncate(what.past);
  return seconds;
}

Status Bench::prepare(const BenchCase &what, std::vector<Sequence> &sequences) {
  if (Status error = session.checkLength("the test '" + what.name() + "'",
                                         what.past + what.rows))
    return error;
  sequences.clear();
  if (Status error = session.makeState(what.past + what.rows, what.sequences))
    return error;
  for (int64_t i = 0; i < what.sequences; ++i)
    sequences.emplace_back(session.state());
  if (what.past > 0)
    return append(sequences, what.past, /*generated=*/false);
  return std::nullopt;
}

Result<BenchResult> Bench::run(const BenchCase &what) {
  std::vector<Sequence> sequences;
  BenchResult result;
  result.what = what;
  if (Status error = prepare(what, sequences))
    return *error;
  session.engine().recordRouting(true);
  Result<double> warm = sample(what, sequences);
  session.engine().recordRouting(false);
  if (!warm)
    return warm.takeError();
  result.work = workOf(what);
  CpuWatch watch;
  Progress progress(what.name(), "samples");
  double before = reads.measure();
  for (int64_t i = 0; i < options.repeat; ++i) {
    Result<double> seconds = sample(what, sequences);
    if (!seconds)
      return seconds.takeError();
    if (what.kind == BenchCase::Prefill)
      result.products.push_back(productRate());
    double after = reads.measure();
    result.seconds.push_back(*seconds);
    result.reads.push_back((before + after) / 2);
    before = after;
    progress.update(i + 1, options.repeat);
  }
  result.others = watch.others();
  return result;
}

/// What a case computes and reads: of experts those that its last step chose.
Work Bench::workOf(const BenchCase &what) const {
  const Manifest &manifest = session.manifest();
  Work work = workOfStep(manifest, what.shape());
  ExpertCounts experts = countExperts(session.engine().routing());
  if (!experts.empty())
    work.weightBytes = bytesOfStep(manifest, *manifest.find("infer"),
                                   what.shape(), experts) -
                       work.stateBytes;
  if (work.weightBytes == 0)
    work.weightBytes =
        static_cast<double>(session.modelWeights().packedBytes());
  return work;
}

double BenchResult::readShare() const {
  std::vector<double> shares;
  for (size_t i = 0; i < seconds.size(); ++i)
    shares.push_back(work.memoryBytes() * 1e-9 / seconds[i] / reads[i]);
  return median(shares);
}

double BenchResult::productShare() const {
  std::vector<double> shares;
  for (size_t i = 0; i < products.size(); ++i)
    shares.push_back(work.flops * 1e-9 / seconds[i] / products[i]);
  return median(shares);
}

double BenchResult::spread() const {
  auto [least, most] = std::minmax_element(seconds.begin(), seconds.end());
  return (*most - *least) / 2 / median(seconds);
}

static void printHeader(Session &session) {
  const Manifest &manifest = session.manifest();
  printf("%s, %s, variant %s, %d thread%s, %.2f GB of weights\n\n",
         manifest.model.c_str(), manifest.compute.c_str(),
         session.variant().c_str(), session.threadPool().threads(),
         session.threadPool().threads() == 1 ? "" : "s",
         session.modelWeights().packedBytes() * 1e-9);
  printf("| %-20s | %10s | %6s | %7s | %7s | %8s | %7s | %6s |\n", "test",
         "tok/s", "+-", "GB/s", "of read", "GFLOP/s", "of peak", "others");
  printf("|----------------------|-----------:|-------:|--------:|--------:|"
         "---------:|--------:|-------:|\n");
}

static void printRow(const BenchResult &result) {
  double seconds = median(result.seconds);
  double tokens = static_cast<double>(result.what.sequences * result.what.rows);
  char peak[16] = "-";
  if (!result.products.empty())
    snprintf(peak, sizeof(peak), "%.3f", result.productShare());
  printf("| %-20s | %10.2f | %5.1f%% | %7.2f | %7.3f | %8.1f | %7s | %6.2f |\n",
         result.what.name().c_str(), tokens / seconds, 100 * result.spread(),
         result.work.memoryBytes() / seconds * 1e-9, result.readShare(),
         result.work.flops / seconds * 1e-9, peak, result.others);
  fflush(stdout);
}

static nlohmann::ordered_json toJson(Session &session,
                                     const BenchResult &result) {
  double seconds = median(result.seconds);
  double tokens = static_cast<double>(result.what.sequences * result.what.rows);
  return {{"test", result.what.name()},
          {"model", session.manifest().model},
          {"compute", session.manifest().compute},
          {"variant", session.variant()},
          {"threads", session.threadPool().threads()},
          {"past", result.what.past},
          {"rows", result.what.rows},
          {"sequences", result.what.sequences},
          {"tokens_per_second", tokens / seconds},
          {"seconds", result.seconds},
          {"memory_bytes", result.work.memoryBytes()},
          {"flops", result.work.flops},
          {"read_gbps", result.reads},
          {"read_share", result.readShare()},
          {"product_gflops", result.products},
          {"product_share", result.productShare()},
          {"others", result.others}};
}

/// Parses "1,2,3" to cases.
static Status addCases(const std::string &list, const std::string &option,
                       const std::function<BenchCase(int64_t)> &make,
                       std::vector<BenchCase> &cases) {
  if (list.empty())
    return std::nullopt;
  Result<std::vector<int32_t>> numbers = parseIds(list);
  if (!numbers)
    return failure("expects --", option, " (", list,
                   ") to be numbers such as 32,512");
  for (int32_t number : *numbers)
    cases.push_back(make(number));
  return std::nullopt;
}

static Status listCases(const BenchOptions &options,
                        std::vector<BenchCase> &cases) {
  auto prefill = [](int64_t n) {
    return BenchCase{BenchCase::Prefill, 1, 0, std::max<int64_t>(1, n)};
  };
  auto decode = [](int64_t n) { return BenchCase{BenchCase::Decode, 1, n, 1}; };
  auto batch = [&](int64_t n) {
    return BenchCase{BenchCase::Decode, std::max<int64_t>(1, n),
                     options.batchPast, 1};
  };
  Status error = addCases(options.prefill, "prefill", prefill, cases);
  if (!error)
    error = addCases(options.decode, "decode", decode, cases);
  if (!error)
    error = addCases(options.batch, "batch", batch, cases);
  if (!error && cases.empty() && options.speculate == 0)
    error = failure("expects one of --prefill, --decode, --batch and "
                    "--speculate");
  return error;
}

static Status runCases(Session &session, const BenchOptions &options,
                       const std::vector<BenchCase> &cases) {
  Bench bench(session, options);
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  double others = 0;
  if (!options.json && !cases.empty())
    printHeader(session);
  for (const BenchCase &what : cases) {
    Result<BenchResult> result = bench.run(what);
    if (!result)
      return result.takeError();
    others = std::max(others, result->others);
    if (options.json)
      results.push_back(toJson(session, *result));
    else
      printRow(*result);
  }
  if (options.speculate > 0) {
    Result<SpeculationResult> result = benchSpeculation(session, options);
    if (!result)
      return result.takeError();
    others = std::max(others, result->others);
    if (options.json)
      results.push_back(toJson(session, options, *result));
    else
      printSpeculation(options, *result);
  }
  if (options.json)
    std::cout << results.dump(1) << "\n";
  if (options.kernels)
    for (const BenchCase &what : cases)
      if (Status error = bench.printKernels(what))
        return error;
  if (others > quietCpus)
    std::cerr << "dsrun: warning: other processes kept " << others
              << " CPUs busy: these numbers do not count\n";
  return std::nullopt;
}

int ds::tool::runBench(const Words &words) {
  BenchOptions options;
  CommandLine line("dsrun bench", "ARTIFACT --weights=DIR [options]",
                   "Measures prefill and decode beside what the machine can "
                   "do.");
  line.group("Tests");
  line.option(options.prefill, "prefill", "LIST",
              "prompts of these lengths, such as 32,512 (512)");
  line.option(options.decode, "decode", "LIST",
              "a token after this many tokens, such as 0,2048 (0)");
  line.option(options.batch, "batch", "LIST",
              "a token of this many sequences at once, such as 4,8");
  line.option(options.batchPast, "batch-depth", "N",
              "tokens that the sequences of --batch have (0)", 0);
  line.option(
      options.speculate, "speculate", "N",
      "draw N tokens with and without the draft head, in turns, beside\n"
      "what the bytes that are read predict");
  line.option(options.ids, "ids", "LIST",
              "prompt of --speculate, such as 1,2,3");
  line.option(options.temperature, "temperature", "X",
              "temperature of --speculate (0)");
  line.option(options.guesses, "guesses", "N",
              "guesses for a step of --speculate (1)");
  line.option(options.repeat, "repeat", "N", "samples of a test (9)");
  line.group("Output");
  line.flag(options.kernels, "kernels",
            "also predicted and measured time of every kernel");
  line.flag(options.json, "json", "print JSON with all samples");
  options.session.declare(line);
  Result<bool> parsed = line.parse(words);
  if (!parsed)
    return reportError(parsed.error());
  if (!*parsed)
    return exitDone;
  if (!line.given("prefill") && !line.given("decode") && !line.given("batch") &&
      !line.given("speculate"))
    options.prefill = "512", options.decode = "0";
  for (const char *name : {"ids", "temperature", "guesses"})
    if (line.given(name) && !line.given("speculate"))
      return reportError(join("--", name, ": expects --speculate"));
  std::vector<BenchCase> cases;
  if (Status error = listCases(options, cases))
    return reportError(error->message);
  options.session.largePages = true;
  auto session = Session::open(options.session,
                               std::max<int64_t>(64, options.guesses + 1));
  if (!session)
    return reportError(session.error());
  if (Status error = runCases(**session, options, cases))
    return reportError(error->message);
  return exitDone;
}
