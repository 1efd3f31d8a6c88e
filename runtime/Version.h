//===- Version.h - The project's version ----------------------------------===//
#ifndef DS_RUNTIME_VERSION_H
#define DS_RUNTIME_VERSION_H

namespace ds::runtime {

/// The version of the project; CMake defines it.
inline constexpr const char *versionText = DS_VERSION;

} // namespace ds::runtime

#endif // DS_RUNTIME_VERSION_H
