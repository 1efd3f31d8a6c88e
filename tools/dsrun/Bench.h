//===- Bench.h - Measures a model -----------------------------------------===//
#ifndef DS_TOOLS_DSRUN_BENCH_H
#define DS_TOOLS_DSRUN_BENCH_H

#include "tools/dsrun/CostModel.h"
#include "tools/dsrun/Probe.h"
#include "tools/dsrun/Session.h"

#include <array>
#include <string>
#include <vector>

namespace ds::tool {

struct BenchOptions {
  SessionOptions session;
  std::string prefill, decode, batch; // Lists of numbers.
  int64_t batchPast = 0, repeat = 9;
  int64_t speculate = 0, guesses = 1; ///< Tokens of the test; a step's guesses.
  std::string ids;                    ///< Its prompt.
  float temperature = 0;
  bool kernels = false, json = false;
};

/// A step that is measured: `rows` tokens of each of `sequences` that have
/// `past` tokens.
struct BenchCase {
  enum Kind { Prefill, Decode } kind = Prefill;
  int64_t sequences = 1, past = 0, rows = 1;

  std::string name() const;
  StepShape shape() const;
  /// Returns whether its tokens have the role of generated ones.
  bool isDecoding() const { return rows == 1; }
};

/// The samples of a case.
struct BenchResult {
  BenchCase what;
  Work work;
  std::vector<double> seconds;
  std::vector<double> reads;    ///< GB/s of memory around each sample.
  std::vector<double> products; ///< GFLOP/s beside each sample of a prefill.
  double others = 0;            ///< CPUs busy with other processes.

  /// Returns the median share of the memory's and of the arithmetic's limit.
  double readShare() const;
  double productShare() const;
  /// Returns half the range of the samples over their median.
  double spread() const;
};

/// Drawing a text with the draft head beside drawing it without.
struct SpeculationResult {
  std::vector<double> plain, drafted; ///< Tokens per second, pair by pair.
  double acceptanceRate = 0, tokensPerStep = 0;
  /// Bytes of weights and state for a token without the draft head, for a step
  /// with it and for its guesses.
  double plainBytes = 0, stepBytes = 0, draftBytes = 0;
  double others = 0; ///< CPUs busy with other processes.

  /// Returns the median of drafted / plain.
  double ratio() const;
  /// Returns what it is if time goes with bytes.
  double predicted() const {
    return tokensPerStep * plainBytes / (stepBytes + draftBytes);
  }
};

/// Measures --speculate, pair by pair.
Result<SpeculationResult> benchSpeculation(Session &session,
                                           const BenchOptions &options);

/// Prints it as a table of its own.
void printSpeculation(const BenchOptions &options,
                      const SpeculationResult &result);
nlohmann::ordered_json toJson(Session &session, const BenchOptions &options,
                              const SpeculationResult &result);

/// Returns the median; 0 of nothing.
double median(std::vector<double> values);

/// Measures cases on an open session.
class Bench {
public:
  Bench(Session &session, const BenchOptions &options);

  Result<BenchResult> run(const BenchCase &what);

  /// Prints predicted and measured times of every kernel in a case.
  Status printKernels(const BenchCase &what);

private:
  Status prepare(const BenchCase &what,
                 std::vector<runtime::Sequence> &sequences);
  Status append(std::vector<runtime::Sequence> &sequences, int64_t count,
                bool generated);
  Result<double> sample(const BenchCase &what,
                        std::vector<runtime::Sequence> &sequences);
  Work workOf(const BenchCase &what) const;
  double productRate();
  double blockedProductRate();

  Session &session;
  const BenchOptions &options;
  ReadProbe reads;
  std::array<int32_t, 4096> ids;
};

} // namespace ds::tool

#endif // DS_TOOLS_DSRUN_BENCH_H
