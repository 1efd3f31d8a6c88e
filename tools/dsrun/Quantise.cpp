//===- Quantise.cpp - dsrun quantise --------------------------------------===//
#include "runtime/Quantise.h"
#include "tools/dsrun/CommandLine.h"
#include "tools/dsrun/Commands.h"
#include "tools/dsrun/Session.h"
#include "tools/dsrun/Terminal.h"

#include <algorithm>
#include <cstdio>
#include <memory>

using namespace ds::tool;
using namespace ds::runtime;

namespace {
struct QuantiseOptions {
  std::string folder, out, format;
  int64_t threads = 0;
};

/// A tensor and what it lost.
struct Row {
  std::string tensor;
  QuantiseError error;
};
} // namespace

/// Prints all rows, and which is the worst.
static void print(const std::vector<Row> &rows) {
  printf("%12s  %12s  tensor\n", "relative l2", "largest");
  for (const Row &row : rows)
    printf("%12.3e  %12.3e  %s\n", row.error.relative, row.error.largest,
           row.tensor.c_str());
  auto worst = std::max_element(rows.begin(), rows.end(),
                                [](const Row &a, const Row &b) {
                                  return a.error.relative < b.error.relative;
                                });
  printf("%zu tensors in FP8; the worst loses %.3e: %s\n", rows.size(),
         worst->error.relative, worst->tensor.c_str());
}

/// Makes the folder; `rows` gets what its tensors lost.
static Status quantise(const QuantiseOptions &options, std::vector<Row> &rows) {
  if (options.format != "fp8")
    return failure("expects --format (", options.format, ") to be fp8");
  std::unique_ptr<ThreadPool> pool = makePool(options.threads);
  Progress bar("quantising", "MB");
  return quantiseFolder(
      options.folder, options.out, *pool,
      [&](const Tensor &tensor, const QuantiseError &lost) {
        rows.push_back({tensor.name + " " + shapeText(tensor.shape), lost});
      },
      [&](int64_t bytes, int64_t total) {
        bar.update(static_cast<double>(bytes) / 1e6,
                   static_cast<double>(total) / 1e6);
        return !interrupted();
      });
}

int ds::tool::runQuantise(const Words &words) {
  QuantiseOptions options;
  CommandLine line(
      "dsrun quantise", "FOLDER --out=FOLDER --format=fp8",
      "Makes a model folder whose projections are FP8 with a scale "
      "for each 128 x 128\nelements, from BF16, F16 or F32, and "
      "prints what each tensor loses: the l2 of the\ndifference by "
      "that of the tensor, and the largest difference. dscc "
      "compiles the\nresult as it is.");
  line.positional(options.folder, "FOLDER", "the model folder");
  line.option(options.out, "out", "FOLDER", "the folder to make");
  line.option(options.format, "format", "fp8",
              "e4m3 with scales of blocks, as DeepSeek-V3 has it");
  line.option(options.threads, "threads", "N",
              "threads to use; default: one for each CPU");
  Result<bool> parsed = line.parse(words);
  if (!parsed)
    return reportError(parsed.error());
  if (!*parsed)
    return exitDone;
  if (options.out.empty() || options.format.empty())
    return reportError("expects --out=FOLDER and --format=fp8");
  std::vector<Row> rows;
  if (Status error = quantise(options, rows))
    return reportError(error->message);
  print(rows);
  return exitDone;
}
