//===- Artifact.h - A compiled model --------------------------------------===//
#ifndef DS_RUNTIME_ARTIFACT_H
#define DS_RUNTIME_ARTIFACT_H

#include "runtime/Cpu.h"
#include "runtime/Manifest.h"

#include <memory>
#include <string>
#include <vector>

namespace ds::runtime {

/// The two functions of a kernel (docs/artifact.md).
struct KernelCode {
  using Run = void (*)(void *const *args, const int64_t *dims, int64_t tile,
                       void *scratch);
  using Tiles = int64_t (*)(const int64_t *dims);
  Run run = nullptr;
  Tiles tiles = nullptr;
};

/// How to open an artifact.
struct ArtifactOptions {
  /// The variant to use; empty: the best one this CPU runs.
  std::string variant;
  /// Stands in for the host's CPU.
  std::optional<CpuFeatures> cpu;
};

/// Reads and checks the manifest of the artifact at `path`. Its code is not
/// opened. `text`, if given, receives the JSON text.
Result<Manifest> readManifest(const std::string &path,
                              std::string *text = nullptr);

/// An artifact that is open as code, one variant of it chosen.
class Artifact {
public:
  /// Opens `path`: its manifest is checked before it is opened as code.
  static Result<std::unique_ptr<Artifact>> open(const std::string &path,
                                                const ArtifactOptions &options);
  ~Artifact();
  Artifact(const Artifact &) = delete;
  Artifact &operator=(const Artifact &) = delete;

  const std::string &path() const { return name; }
  const Manifest &manifest() const { return description; }
  /// Returns the JSON text of the manifest.
  const std::string &manifestText() const { return text; }
  const std::string &variant() const { return chosen; }

  /// Returns the code of `bucket` of `kernel`.
  const KernelCode &code(int64_t kernel, size_t bucket) const {
    return codes[kernel][bucket];
  }

private:
  Artifact() = default;
  Status openCode();

  std::string name, text, chosen;
  Manifest description;
  void *library = nullptr;
  std::vector<std::vector<KernelCode>> codes;
};

} // namespace ds::runtime

#endif // DS_RUNTIME_ARTIFACT_H
