//===- NameKernels.cpp - One name for equal kernels -----------------------===//
#include "passes/Passes.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"

namespace ds {
#define GEN_PASS_DEF_NAMEKERNELS
#include "passes/Passes.h.inc"
} // namespace ds

using namespace ds;

static constexpr StringLiteral kNameOf = "sym_name";

/// Returns whether two kernels are the same function of their arguments. Their
/// names have been set aside.
static bool areEqual(Operation *a, Operation *b) {
  if (cast<KernelInterface>(a).getRowSymbol() !=
      cast<KernelInterface>(b).getRowSymbol())
    return false;
  for (auto [left, right] : llvm::zip(a->getOperands(), b->getOperands()))
    if (left.getType() != right.getType())
      return false;
  return OperationEquivalence::isEquivalentTo(
      a, b, OperationEquivalence::ignoreValueEquivalence, nullptr,
      OperationEquivalence::IgnoreLocations |
          OperationEquivalence::IgnoreDiscardableAttrs);
}

/// Returns "<family>_<stem>" in letters that every assembler takes.
static std::string makeName(Operation *op, StringRef stem) {
  std::string family = op->getName().getStringRef().rsplit('.').second.str();
  std::string name;
  for (char c : stem)
    name += llvm::isAlnum(c) ? c : '_';
  if (name.empty() || name == family)
    return family;
  if (!StringRef(name).starts_with(family + "_"))
    name = family + "_" + name;
  // Codegen derives names with this suffix.
  return StringRef(name).ends_with("_m16") ? name + "_" : name;
}

/// Returns `name`, with a number if it is taken.
static std::string makeUnique(llvm::StringSet<> &taken, std::string name) {
  std::string unique = name;
  for (unsigned i = 2; !taken.insert(unique).second; ++i)
    unique = name + "_" + std::to_string(i);
  return unique;
}

namespace {
struct NameKernels : ds::impl::NameKernelsBase<NameKernels> {
  void runOnOperation() override {
    SmallVector<std::pair<Operation *, std::string>> all;
    getOperation().walk([&](KernelInterface op) {
      all.push_back({op, op.getKernelName().str()});
      setName(op, "");
    });
    SmallVector<std::pair<Operation *, std::string>> distinct;
    SmallVector<size_t> member;
    for (auto &[op, stem] : all) {
      size_t index = find(distinct, op);
      if (index == distinct.size())
        distinct.push_back({op, stem});
      member.push_back(index);
    }
    llvm::StringSet<> taken;
    for (auto &[op, name] : distinct)
      name = makeUnique(taken, makeName(op, name));
    for (auto [each, index] : llvm::zip(all, member))
      setName(each.first, distinct[index].second);
    kernels += distinct.size();
  }

  static size_t find(ArrayRef<std::pair<Operation *, std::string>> distinct,
                     Operation *op) {
    auto found = llvm::find_if(
        distinct, [&](auto &each) { return areEqual(each.first, op); });
    return found - distinct.begin();
  }

  static void setName(Operation *op, StringRef name) {
    op->setAttr(kNameOf, StringAttr::get(op->getContext(), name));
  }
};
} // namespace
