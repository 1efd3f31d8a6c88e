//===- Inspect.cpp - dsrun inspect ----------------------------------------===//
//
// Prints what the manifest of an artifact says. The artifact is never opened as
// code.
//
//===----------------------------------------------------------------------===//
#include "runtime/Artifact.h"
#include "runtime/Pack.h"
#include "runtime/Safetensors.h"
#include "tools/dsrun/CommandLine.h"
#include "tools/dsrun/Commands.h"
#include "tools/dsrun/Terminal.h"

#include <cstdio>
#include <iostream>

using namespace ds::tool;
using namespace ds::runtime;

static std::string bytesText(int64_t bytes) {
  char text[32];
  const char *units[] = {"B", "KB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  for (; value >= 1000 && unit < 4; ++unit)
    value /= 1000;
  snprintf(text, sizeof(text), unit ? "%.2f %s" : "%.0f %s", value,
           units[unit]);
  return text;
}

static std::string linearText(const LinearBytes &bytes) {
  std::string text;
  const char *const symbols[] = {"T", "R", "P", "G", "E"};
  for (size_t i = 0; i < bytes.per.size(); ++i)
    if (bytes.per[i] || i < 2)
      text += join(bytes.per[i], " ", symbols[i], " + ");
  return text + join(bytes.constant);
}

static std::string pad(std::string text, size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

static void printModel(const Manifest &manifest) {
  std::string variants;
  for (const std::string &variant : manifest.variants)
    variants += (variants.empty() ? "" : ", ") + variant;
  int64_t weightBytes = 0;
  for (const WeightSpec &weight : manifest.weights)
    weightBytes += packedBytes(weight) * weight.matrixCount();
  std::cout << "model      " << manifest.model << ", " << manifest.compute
            << ", by " << manifest.producer << "\n"
            << "variants   " << variants << "\n"
            << "weights    " << bytesText(weightBytes) << " packed\n"
            << "state      "
            << bytesText(manifest.statePageBytes() / Manifest::pagePositions)
            << " a token, in pages of " << Manifest::pagePositions << "\n"
            << "scratch    " << bytesText(manifest.scratchBytes)
            << " a thread\n";
  std::cout << "\nconfig\n";
  for (const auto &[key, value] : manifest.config.all.items())
    std::cout << "  " << pad(key, 26) << " " << value.dump() << "\n";
}

static void printWeights(const Manifest &manifest) {
  std::cout << "\nweights\n";
  for (size_t i = 0; i < manifest.weights.size(); ++i) {
    const WeightSpec &weight = manifest.weights[i];
    std::cout << "  " << pad(std::to_string(i), 3) << " "
              << pad(weight.name, 28) << " " << pad(shapeText(weight.shape), 16)
              << " " << layoutName(weight.layout);
    if (weight.layout == Layout::Raw)
      std::cout << " " << elementName(weight.element);
    if (weight.paired)
      std::cout << ", paired";
    if (weight.frozen)
      std::cout << ", frozen";
    if (weight.layers)
      std::cout << ", layers " << weight.layers->first << " to "
                << weight.layers->first + weight.layers->count - 1;
    std::cout << "\n";
    for (const WeightPart &part : weight.parts)
      std::cout << "        " << pad(std::to_string(part.rows), 7)
                << " rows of " << part.label << "\n";
  }
}

static void printMemory(const Manifest &manifest) {
  std::cout << "\nstates\n";
  for (size_t i = 0; i < manifest.states.size(); ++i) {
    const StateSpec &state = manifest.states[i];
    std::cout << "  " << pad(std::to_string(i), 3) << " " << pad(state.name, 20)
              << " " << state.heads << " heads of " << state.dims << " "
              << elementName(state.element) << ", " << state.layers
              << " layers, as " << (state.view == View::Key ? "keys" : "values")
              << "\n";
  }
}

static const char *rowsName(Rows rows) {
  static const char *const names[] = {"T", "R", "P", "G", "E", "W"};
  return names[static_cast<int>(rows)];
}

static void printBuffers(const Entry &entry) {
  std::cout << "arena      " << linearText(entry.arena) << " bytes; "
            << bytesText(entry.arena.at({512, 16, 512, 0, 512})) << " for T = 512, R = 16\n";
  for (const RowInputSpec &input : entry.inputs)
    std::cout << "input      " << input.name << ", "
              << (input.isInteger ? "i32" : elementName(input.element)) << "\n";
  std::cout << "buffers\n";
  for (size_t i = 0; i < entry.buffers.size(); ++i) {
    const BufferSpec &buffer = entry.buffers[i];
    std::cout << "  " << pad(std::to_string(i), 3) << " "
              << pad(buffer.name, 20) << " " << rowsName(buffer.rows)
              << " rows of " << buffer.rowBytes << " bytes at "
              << linearText(buffer.offset);
    if (buffer.layers > 1)
      std::cout << ", " << buffer.layers << " layers";
    std::cout << "\n";
  }
}

/// Prints an argument of a launch of `entry`.
static void printArgument(const Manifest &manifest, const Entry &entry,
                          const Argument &argument) {
  switch (argument.kind) {
  case Argument::Buffer:
    std::cout << entry.buffers[argument.index].name;
    return;
  case Argument::Weight:
    std::cout << manifest.weights[argument.index].name;
    return;
  case Argument::State:
    std::cout << manifest.states[argument.index].name;
    return;
  case Argument::Sequences:
    std::cout << "seq";
    return;
  case Argument::Input:
    std::cout << entry.inputs[argument.index].name;
    return;
  case Argument::Gradient:
    std::cout << "gradient of " << manifest.weights[argument.index].name;
    return;
  case Argument::Master:
    std::cout << "master of " << manifest.weights[argument.index].name;
    return;
  case Argument::Moment:
    std::cout << "moment " << argument.order << " of "
              << manifest.weights[argument.index].name;
    return;
  case Argument::Hyper:
    std::cout << "hyper";
    return;
  case Argument::Partials:
    std::cout << "partials";
    return;
  }
}

static void printLaunches(const Manifest &manifest, const Entry &entry,
                          const std::vector<Statement> &program,
                          const std::string &indent) {
  for (const Statement &statement : program) {
    int64_t first = statement.layers.first;
    int64_t last = first + statement.layers.count - 1;
    if (statement.kind == Statement::Layers)
      std::cout << indent << "for layers "
                << (statement.reverse ? last : first) << " to "
                << (statement.reverse ? first : last) << "\n";
    if (statement.kind == Statement::Windows)
      std::cout << indent << "for windows of " << statement.window
                << " rows of R\n";
    if (statement.kind != Statement::Launch) {
      printLaunches(manifest, entry, statement.body, indent + "  ");
      continue;
    }
    std::cout << indent << manifest.kernels[statement.kernel].name << "(";
    const char *separator = "";
    for (const Argument &argument : statement.arguments) {
      std::cout << separator;
      printArgument(manifest, entry, argument);
      separator = ", ";
    }
    std::cout << ")\n";
  }
}

static void printCode(const Manifest &manifest) {
  std::cout << "\nkernels\n";
  for (size_t i = 0; i < manifest.kernels.size(); ++i) {
    const KernelSpec &kernel = manifest.kernels[i];
    std::cout << "  " << pad(std::to_string(i), 3) << " "
              << pad(kernel.name, 20) << " " << pad(kernel.family, 12) << " "
              << rowsName(kernel.rows) << " rows:";
    for (const KernelBucket &bucket : kernel.buckets) {
      std::cout << " " << bucket.symbol;
      if (bucket.maxRows)
        std::cout << " (up to " << *bucket.maxRows << ")";
    }
    std::cout << "\n";
  }
  for (const auto &[name, entry] : manifest.entries) {
    std::cout << "\nentry " << name << "\n";
    printBuffers(entry);
    std::cout << "program\n";
    printLaunches(manifest, entry, entry.program, "  ");
  }
}

int ds::tool::runInspect(const Words &words) {
  std::string path;
  bool json = false;
  CommandLine line("dsrun inspect", "ARTIFACT [options]",
                   "Prints what an artifact holds. It is not opened as code.");
  line.positional(path, "ARTIFACT", "the model that dscc compiled");
  line.flag(json, "json", "print the manifest as it is");
  Result<bool> parsed = line.parse(words);
  if (!parsed)
    return reportError(parsed.error());
  if (!*parsed)
    return exitDone;
  std::string text;
  Result<Manifest> manifest = readManifest(path, &text);
  if (!manifest)
    return reportError(manifest.error());
  if (json) {
    std::cout << text << "\n";
    return exitDone;
  }
  printModel(*manifest);
  printWeights(*manifest);
  printMemory(*manifest);
  printCode(*manifest);
  return exitDone;
}
