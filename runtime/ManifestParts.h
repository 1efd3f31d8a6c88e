//===- ManifestParts.h - Readers of parts of the manifest -----------------===//
#ifndef DS_RUNTIME_MANIFESTPARTS_H
#define DS_RUNTIME_MANIFESTPARTS_H

#include "runtime/Manifest.h"
#include "runtime/ManifestReader.h"

namespace ds::runtime {

Element readElement(const ManifestReader &reader);
Rows readRows(const ManifestReader &reader);
LayerRange readLayers(const ManifestReader &reader);

/// Checks that an item's "id" is its index.
void checkId(const ManifestReader &reader, size_t index);

/// Reads the entries of a manifest whose other lists have been read, into it.
void readEntries(const ManifestReader &reader, Manifest &manifest);

/// The same of the one entry of a manifest of format 1, which has arena and
/// buffers at the top level.
Entry readOldEntry(const ManifestReader &root, const Manifest &manifest);

} // namespace ds::runtime

#endif // DS_RUNTIME_MANIFESTPARTS_H
