//===- BenchKernels.cpp - Predicted and measured time of kernels ----------===//
//
// The prediction is a roofline: a launch takes the longer of moving its bytes
// and adding its products, at the rates that quick probes find on this machine,
// plus the fork and join of the pool. Errors are taken over the kernels that
// matter, those with at least a hundredth of the time.
//
//===----------------------------------------------------------------------===//
#include "tools/dsrun/Bench.h"

#include <cmath>
#include <cstdio>
#include <map>

using namespace ds::tool;
using namespace ds::runtime;

namespace {
/// Rates of this machine.
struct Machine {
  double readGbps, gflops, launchMicroseconds;
};

/// A kernel's launches in a step.
struct KernelTimes {
  std::vector<double> microseconds; // Of every launch of every repetition.
  int64_t launches = 0, tiles = 0;  // Of one step.
  size_t bucket = 0;
};
} // namespace

static double predict(const Work &work, const Machine &machine) {
  double bytes = work.memoryBytes() + work.activationBytes;
  double moving = bytes * 1e-3 / machine.readGbps;
  double adding = work.flops * 1e-3 / machine.gflops;
  return std::max(moving, adding) + machine.launchMicroseconds;
}

static void printTable(const Manifest &manifest, const BenchCase &what,
                       const std::map<int64_t, KernelTimes> &kernels,
                       const Machine &machine, double stepSeconds) {
  double total = 0;
  for (const auto &[kernel, times] : kernels)
    total += median(times.microseconds) * times.launches;
  printf("\nkernels of %s: %.1f GB/s, %.0f GFLOP/s, %.2f us a launch\n\n",
         what.name().c_str(), machine.readGbps, machine.gflops,
         machine.launchMicroseconds);
  printf("| %-28s | %8s | %6s | %10s | %10s | %6s | %7s | %8s | %6s |\n",
         "kernel", "launches", "tiles", "predicted", "measured", "error",
         "GB/s", "GFLOP/s", "time");
  printf("|------------------------------|---------:|-------:|-----------:|"
         "-----------:|-------:|--------:|---------:|-------:|\n");
  std::vector<double> errors;
  for (const auto &[kernel, times] : kernels) {
    const KernelSpec &spec = manifest.kernels[kernel];
    Work work = workOf(spec, what.shape());
    double measured = median(times.microseconds);
    double predicted = predict(work, machine);
    double share = measured * times.launches / total;
    if (share >= 0.01)
      errors.push_back(std::abs(predicted / measured - 1));
    printf("| %-28s | %8lld | %6lld | %7.1f us | %7.1f us | %+5.0f%% | %7.2f | "
           "%8.1f | %5.1f%% |\n",
           spec.buckets[times.bucket].symbol.c_str(),
           static_cast<long long>(times.launches),
           static_cast<long long>(times.tiles), predicted, measured,
           100 * (predicted / measured - 1),
           (work.memoryBytes() + work.activationBytes) * 1e-3 / measured,
           work.flops * 1e-3 / measured, 100 * share);
  }
  printf("\n%s: %.1f us, %.1f us of it in kernels; median error %.0f%%\n",
         what.name().c_str(), stepSeconds * 1e6, total, 100 * median(errors));
}

Status Bench::printKernels(const BenchCase &what) {
  std::vector<Sequence> sequences;
  if (Status error = prepare(what, sequences))
    return error;
  Engine &engine = session.engine();
  std::map<int64_t, KernelTimes> kernels;
  std::vector<double> reading, adding, steps;
  for (int64_t i = 0; i < options.repeat; ++i) {
    engine.profile(true);
    Result<double> seconds = sample(what, sequences);
    if (!seconds)
      return seconds.takeError();
    steps.push_back(*seconds);
    for (auto &[kernel, times] : kernels)
      times.launches = 0;
    for (const LaunchTime &launch : engine.launchTimes()) {
      KernelTimes &times = kernels[launch.kernel];
      times.microseconds.push_back(launch.nanoseconds * 1e-3);
      times.bucket = launch.bucket;
      times.tiles = launch.tiles;
      ++times.launches;
    }
    reading.push_back(reads.measure());
    adding.push_back(blockedProductRate());
  }
  engine.profile(false);
  Machine machine = {median(reading), median(adding),
                     measureLaunch(session.threadPool())};
  printTable(session.manifest(), what, kernels, machine, median(steps));
  return std::nullopt;
}
