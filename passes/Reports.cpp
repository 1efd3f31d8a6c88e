//===- Reports.cpp - Memory and cost as text ------------------------------===//
#include "passes/Manifest.h"
#include "llvm/Support/Format.h"

using namespace ds;

static int64_t configNumber(ModuleOp module, StringRef name, int64_t missing) {
  auto config = module->getAttrOfType<DictionaryAttr>(kConfigAttr);
  auto value = config ? config.getAs<IntegerAttr>(name) : IntegerAttr();
  return value ? value.getInt() : missing;
}

static double mebibytes(double bytes) { return bytes / (1 << 20); }

void ds::printMemory(ModuleOp module, const MemoryPlan &plan,
                     llvm::raw_ostream &os) {
  int64_t context = configNumber(module, "max_position_embeddings", 4096);
  int64_t tokens = std::min<int64_t>(context, 512);
  int64_t parameters = 0;
  for (WeightOp weight : plan.weights) {
    int64_t layers = weight.getLayers() ? (*weight.getLayers())[1] : 1;
    parameters +=
        layers * cast<RankedTensorType>(weight.getType()).getNumElements();
  }
  os << llvm::format("parameters           %14lld\n", (long long)parameters);
  os << llvm::format("weights, packed      %14.1f MiB\n",
                     mebibytes(plan.weightBytes()));
  os << llvm::format("state                %14lld bytes per token\n",
                     (long long)plan.stateBytesPerToken());
  os << llvm::format("state, %6lld tokens %14.1f MiB\n", (long long)context,
                     mebibytes(double(plan.stateBytesPerToken()) * context));
  os << llvm::format("arena                %lld T + %lld R + 64 bytes\n",
                     (long long)plan.arenaT, (long long)plan.arenaR);
  os << llvm::format("arena, T=%lld R=1     %14.1f MiB\n", (long long)tokens,
                     mebibytes(plan.arenaBytes(tokens, 1)));
  os << "\nbuffers              rows    bytes/row     offset   live\n";
  for (const PlannedBuffer &buffer : plan.buffers)
    os << llvm::format(
        "%-20s %4s %12lld %10lld   %lld..%lld\n", buffer.name.c_str(),
        buffer.perRow ? "R" : "T", (long long)buffer.rowBytes,
        (long long)(buffer.perRow ? buffer.offsetR : buffer.offsetT),
        (long long)buffer.first, (long long)buffer.last);
}

static void printLine(StringRef name, int64_t count, Cost cost,
                      llvm::raw_ostream &os) {
  os << llvm::format("%-24s %5lld %10.3f %12.2f %12.2f %10.2f\n",
                     name.str().c_str(), (long long)count, cost.flops / 1e9,
                     mebibytes(cost.weightBytes),
                     mebibytes(cost.activationBytes),
                     mebibytes(cost.stateBytes));
}

static Cost scale(Cost cost, double by) {
  return {cost.flops * by, cost.weightBytes * by, cost.activationBytes * by,
          cost.stateBytes * by};
}

static void accumulate(Cost &total, Cost cost) {
  total.flops += cost.flops;
  total.weightBytes += cost.weightBytes;
  total.activationBytes += cost.activationBytes;
  total.stateBytes += cost.stateBytes;
}

static void printProgram(ArrayRef<PlannedStep> program, int64_t count,
                         StepShape step, Cost &total, llvm::raw_ostream &os) {
  for (const PlannedStep &launch : program) {
    if (!launch.kernel) {
      printProgram(launch.body, launch.layerCount, step, total, os);
      continue;
    }
    Cost cost = scale(cast<CostInterface>(launch.kernel).getCost(step), count);
    accumulate(total, cost);
    printLine(cast<KernelInterface>(launch.kernel).getKernelName(), count,
              cost, os);
  }
}

void ds::printCost(ModuleOp module, const MemoryPlan &plan, int64_t tokens,
                   llvm::raw_ostream &os) {
  for (int64_t t : {int64_t(1), tokens}) {
    StepShape step{t, 1, 1, t};
    Cost total;
    os << "step of " << t << (t == 1 ? " token\n" : " tokens\n");
    os << "kernel                   count     GFLOP  weights MiB  activ. MiB"
       << "  state MiB\n";
    printProgram(plan.program, 1, step, total, os);
    printLine("total", 1, total, os);
    os << "\n";
  }
}
