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
  bool kernels = false, json = false;
};

/// A step that is measured: `rows` tokens of each of `sequences` that have
/// `past` tokens.
struct BenchCase {
  enum Kind { Prefill, Decode } kind = Prefill;
  int64_t sequences = 1, past = 0, rows = 1;

  std::string name() const;
  StepShape shape() const;
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
  Status append(std::vector<runtime::Sequence> &sequences, int64_t count);
  Result<double> sample(const BenchCase &what,
                        std::vector<runtime::Sequence> &sequences);
  double productRate();
  double blockedProductRate();

  Session &session;
  const BenchOptions &options;
  ReadProbe reads;
  std::array<int32_t, 4096> ids;
};

} // namespace ds::tool

#endif // DS_TOOLS_DSRUN_BENCH_H
