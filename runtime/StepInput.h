//===- StepInput.h - What kernels see of a step's sequences ---------------===//
#ifndef DS_RUNTIME_STEPINPUT_H
#define DS_RUNTIME_STEPINPUT_H

#include "runtime/State.h"

#include <cstdint>
#include <vector>

extern "C" {
/// The sequences of a step as kernels see them (docs/artifact.md).
struct ds_seq {
  const int32_t *ids;
  const int32_t *position;
  const int32_t *sequence;
  const int32_t *row_begin;
  const int32_t *past;
  const int32_t *pages;
  int64_t max_pages;
  const int32_t *out_rows;
  const int32_t *query_tiles;
  const int32_t *rows;
  const int32_t *state_pages;
  const int32_t *lengths;
  const int32_t *expanded_row;
  const int32_t *view_row;
  const int32_t *runs;
};
}

namespace ds::runtime {

/// The tokens that a step appends to one sequence.
struct StepItem {
  Sequence *sequence = nullptr;
  const int32_t *tokens = nullptr;
  int64_t count = 0;
  /// Logits are wanted for the tokens from this one on: `count` for none,
  /// `count - 1` for the last, 0 for all.
  int64_t firstOutput = 0;
  /// Or, if it is given, for those whose flag is not zero.
  const uint8_t *wanted = nullptr;
  /// Whether the tokens were generated, and are no prompt: it decides between
  /// forms of attention whose arithmetic differs.
  bool generated = false;
  /// Or, if it is given, those whose flag is not zero were.
  const uint8_t *roles = nullptr;
  /// Whether the draft head takes them: `tokens` are those that follow, and
  /// `hidden` has the rows that the model left at the tokens before, [count,
  /// columns] in the compute type.
  bool drafts = false;
  const char *hidden = nullptr;
  /// Whether `tokens` has one more element, the token after the last.
  bool hasFollowing = false;

  bool isGenerated(int64_t token) const {
    return roles ? roles[token] != 0 : generated;
  }
  /// Returns the position of the first token.
  int64_t past() const {
    return drafts ? sequence->draftLength() : sequence->length();
  }
  bool isWanted(int64_t token) const {
    return wanted ? wanted[token] != 0 : token >= firstOutput;
  }
  int64_t outputs() const;
};

/// An array of integers that begins on a cache line.
class StepArray {
public:
  int32_t *reset(size_t count);

private:
  std::vector<int32_t> storage;
};

/// The arrays of a ds_seq and the sizes of the step.
class StepInput {
public:
  /// Describes a step of `items`, whose pages are reserved.
  void build(const std::vector<StepItem> &items, const StepLayout &layout);

  /// Describes a step of `outputs` rows and no tokens.
  void buildRows(int64_t outputs);

  int64_t tokens() const { return sizes[0]; }
  int64_t outputs() const { return sizes[2]; }
  /// Returns the number of rows of each kind.
  RowCounts rows() const {
    return {sizes[0], sizes[2], dims(SeqView::Prompt)[0],
            dims(SeqView::Generated)[0], dims(SeqView::Expanded)[0],
            dims(SeqView::Blocks)[0]};
  }
  /// Returns the `dims` of kernels whose rows are those of a view.
  const int64_t *dims(SeqView which = SeqView::Step) const {
    return which == SeqView::Step ? sizes
                                  : viewSizes[static_cast<size_t>(which) - 1];
  }
  /// Returns the structure of a view, at the same address for every step.
  ds_seq *sequences(SeqView which = SeqView::Step) {
    return which == SeqView::Step ? &view
                                  : &views[static_cast<size_t>(which) - 1];
  }

private:
  using Array = StepArray;

  /// The rows of a role, and the runs of neighbouring ones.
  struct RoleRows {
    struct Run {
      int32_t item, position, begin, count;
    };
    std::vector<int32_t> rows; ///< Of the step.
    std::vector<Run> runs;
    Array toRows, position, sequence, begin, past, pages, tiles, firstRuns;
  };

  void addViews(const std::vector<StepItem> &items, const StepLayout &layout);
  void findRoles(const std::vector<StepItem> &items);
  void addExpanded(const std::vector<StepItem> &items);
  void addRole(SeqView which, RoleRows &role, int64_t queryRows);
  void addRuns(SeqView which, RoleRows &role);
  void addRows(const std::vector<StepItem> &items);
  void addPages(const std::vector<StepItem> &items);
  void addQueryTiles(const std::vector<StepItem> &items, int64_t queryRows);
  void addBlocks(int64_t stride);

  void addFollowing(const std::vector<StepItem> &items);

  int64_t sizes[8] = {}, viewSizes[5][8] = {};
  ds_seq view = {}, views[5] = {};
  Array followingIds;
  Array blockPosition, blockSequence, blockBegin;
  RoleRows prompt, generated;
  /// Positions of an item that are expanded, and their first row; by item.
  std::vector<int32_t> expandedEnd, expandedBegin;
  Array expandedRow, viewRow;
  Array expandedPosition, expandedSequence, expandedFirst, expandedPast,
      expandedPages, expandedLengths, statePages;
  Array ids, position, sequence, rowBegin, past, pages, outRows, queryTiles;
};

} // namespace ds::runtime

#endif // DS_RUNTIME_STEPINPUT_H
