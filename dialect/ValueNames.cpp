//===- ValueNames.cpp - Names of values, in locations ---------------------===//
#include "dialect/ValueNames.h"
#include "llvm/Support/Path.h"

using namespace ds;

Location ds::nameLocation(Location loc, const Twine &name) {
  return NameLoc::get(StringAttr::get(loc.getContext(), name), getPlace(loc));
}

Location ds::getPlace(Location loc) {
  if (auto named = dyn_cast<NameLoc>(loc))
    return getPlace(named.getChildLoc());
  if (auto fused = dyn_cast<FusedLoc>(loc)) {
    SmallVector<Location> places;
    for (Location each : fused.getLocations())
      places.push_back(getPlace(each));
    return FusedLoc::get(places, fused.getMetadata(), loc.getContext());
  }
  return loc;
}

/// "file.ds:12:3", without folders.
static std::string describe(Location loc) {
  auto place = loc->findInstanceOf<FileLineColLoc>();
  if (!place)
    return {};
  return (llvm::sys::path::filename(place.getFilename().getValue()) + ":" +
          Twine(place.getLine()) + ":" + Twine(place.getColumn()))
      .str();
}

std::optional<ValueName> ds::findValueName(OpResult result) {
  Location loc = result.getOwner()->getLoc();
  unsigned results = result.getOwner()->getNumResults();
  unsigned index = result.getResultNumber();
  if (auto fused = dyn_cast<FusedLoc>(loc)) {
    ArrayRef<Location> each = fused.getLocations();
    bool isEach = results > 1 && each.size() == results;
    loc = isEach ? each[index] : each.back();
    index = isEach ? 0 : index;
  }
  auto named = dyn_cast<NameLoc>(loc);
  if (!named)
    return std::nullopt;
  std::string name = named.getName().str();
  if (index > 0)
    name += "." + std::to_string(index);
  return ValueName{name, describe(loc)};
}
