//===- State.h - Paged state and sequences --------------------------------===//
//
// State is kept in pages of 64 positions. A page number stands for the same
// page of every state and layer. Sequences share pages after a fork; a page
// that is shared is copied when one of them appends to it.
//
//===----------------------------------------------------------------------===//
#ifndef DS_RUNTIME_STATE_H
#define DS_RUNTIME_STATE_H

#include "runtime/File.h"
#include "runtime/Manifest.h"

#include <memory>
#include <vector>

namespace ds::runtime {

/// How to set up a pool of pages.
struct StateOptions {
  int64_t pages = 0;
  /// For tests: hands out pages in a random order.
  bool permutePages = false;
  /// For tests: fills pages that nobody uses with NaN.
  bool poisonFreePages = false;
  uint64_t seed = 0;
};

/// The pages of all states. Not for use by several threads at once.
class StatePool {
public:
  static Result<std::unique_ptr<StatePool>> create(const Manifest &manifest,
                                                   const StateOptions &options);

  /// Returns the first page of a layer of a state.
  char *data(int64_t state, int64_t layer) const {
    return memory.data() + states[state].offset +
           layer * capacity * states[state].pageBytes;
  }

  int64_t pages() const { return capacity; }
  int64_t freePages() const { return static_cast<int64_t>(freeList.size()); }
  int64_t bytes() const { return static_cast<int64_t>(memory.size()); }

private:
  friend class Sequence;
  struct StateLayout {
    int64_t offset, pageBytes, layers;
  };

  StatePool() = default;
  int32_t take();
  void share(int32_t page) { ++references[page]; }
  void release(int32_t page);
  void copy(int32_t from, int32_t to);
  void fill(int32_t page, int byte);

  Mapping memory;
  std::vector<StateLayout> states;
  std::vector<int32_t> references;
  std::vector<int32_t> freeList; // Taken from the end.
  int64_t capacity = 0;
  bool poison = false;
};

/// A run of tokens with their state. The pool has to outlive it.
class Sequence {
public:
  explicit Sequence(StatePool &pool) : pool(&pool) {}
  Sequence(Sequence &&other) noexcept;
  Sequence &operator=(Sequence &&other) noexcept;
  ~Sequence();

  /// Returns a sequence with the same state; the pages are shared.
  Sequence fork() const;

  /// Forgets all positions from `length` on; `length` is at most length().
  void truncate(int64_t length);

  int64_t length() const { return positions; }
  StatePool &statePool() const { return *pool; }
  const std::vector<int32_t> &pageNumbers() const { return pages; }

  /// Returns how many free pages appending `tokens` takes.
  int64_t pagesToAppend(int64_t tokens) const;

  /// Makes pages for `tokens` more positions, which pagesToAppend() has shown
  /// to exist, none of them shared.
  void reserve(int64_t tokens);

  /// Counts positions that a step has filled.
  void advance(int64_t tokens) { positions += tokens; }

  /// Returns how many positions the draft head has filled. Its row i goes with
  /// tokens i and i + 1, so that truncate() forgets the row of the last token
  /// that is left, and fork() does not take it over.
  int64_t draftLength() const { return drafted; }
  /// Forgets what the draft head filled from `length` on.
  void truncateDraft(int64_t length);
  /// pagesToAppend(), reserve() and advance() of the draft head, which may go
  /// beyond length().
  int64_t pagesToDraft(int64_t rows) const {
    return pagesToWrite(drafted, drafted + rows);
  }
  void reserveDraft(int64_t rows) { own(drafted, drafted + rows); }
  void advanceDraft(int64_t rows) { drafted += rows; }

private:
  int64_t pagesToWrite(int64_t begin, int64_t end) const;
  void own(int64_t begin, int64_t end);
  void truncateLast(int64_t rows);

  StatePool *pool;
  std::vector<int32_t> pages;
  int64_t positions = 0, drafted = 0;
};

} // namespace ds::runtime

#endif // DS_RUNTIME_STATE_H
