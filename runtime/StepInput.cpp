//===- StepInput.cpp - What kernels see of a step's sequences -------------===//
#include "runtime/StepInput.h"

#include <algorithm>

using namespace ds::runtime;

int64_t StepItem::outputs() const {
  if (!wanted)
    return count - firstOutput;
  return std::count_if(wanted, wanted + count,
                       [](uint8_t flag) { return flag != 0; });
}

int32_t *StepArray::reset(size_t count) {
  constexpr size_t line = 64;
  // A vector reads past its end where rows are taken 16 at a time.
  size_t words = count + 2 * line / sizeof(int32_t);
  if (storage.size() < words)
    storage.resize(words);
  uintptr_t address = reinterpret_cast<uintptr_t>(storage.data());
  return storage.data() + (-address % line) / sizeof(int32_t);
}

void StepInput::addRows(const std::vector<StepItem> &items) {
  int32_t *toId = ids.reset(sizes[0]), *toPosition = position.reset(sizes[0]);
  int32_t *toSequence = sequence.reset(sizes[0]);
  int32_t *toBegin = rowBegin.reset(sizes[1] + 1);
  int32_t *toPast = past.reset(sizes[1]), *toOut = outRows.reset(sizes[2]);
  view.ids = toId, view.position = toPosition, view.sequence = toSequence;
  view.row_begin = toBegin, view.past = toPast, view.out_rows = toOut;
  int32_t row = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    const StepItem &item = items[i];
    int32_t kept = static_cast<int32_t>(item.past());
    *toBegin++ = row;
    *toPast++ = kept;
    for (int64_t j = 0; j < item.count; ++j, ++row) {
      *toId++ = item.tokens[j];
      *toPosition++ = kept + static_cast<int32_t>(j);
      *toSequence++ = static_cast<int32_t>(i);
      if (item.isWanted(j))
        *toOut++ = row;
    }
  }
  *toBegin = row;
}

void StepInput::addPages(const std::vector<StepItem> &items) {
  size_t most = 0;
  for (const StepItem &item : items)
    most = std::max(most, item.sequence->pageNumbers().size());
  int32_t *to = pages.reset(items.size() * most);
  view.pages = to;
  view.max_pages = static_cast<int64_t>(most);
  for (const StepItem &item : items) {
    const std::vector<int32_t> &numbers = item.sequence->pageNumbers();
    std::fill(std::copy(numbers.begin(), numbers.end(), to), to + most, 0);
    to += most;
  }
}

void StepInput::addQueryTiles(const std::vector<StepItem> &items,
                              int64_t queryRows) {
  int64_t count = 0;
  for (const StepItem &item : items)
    count += (item.count + queryRows - 1) / queryRows;
  int32_t *to = queryTiles.reset(3 * count);
  view.query_tiles = to;
  sizes[3] = count;
  for (size_t i = 0; i < items.size(); ++i)
    for (int64_t begin = 0; begin < items[i].count; begin += queryRows) {
      *to++ = static_cast<int32_t>(i);
      *to++ = view.row_begin[i] + static_cast<int32_t>(begin);
      *to++ = static_cast<int32_t>(std::min(queryRows, items[i].count - begin));
    }
}

/// The view of the tokens that are the last of `stride`.
void StepInput::addBlocks(int64_t stride) {
  int64_t *dims = viewSizes[static_cast<size_t>(SeqView::Blocks) - 1];
  ds_seq &blocks = *sequences(SeqView::Blocks);
  std::fill_n(dims, 8, 0);
  blocks = view;
  if (stride <= 1)
    return;
  int32_t *toPosition = blockPosition.reset(sizes[0]);
  int32_t *toSequence = blockSequence.reset(sizes[0]);
  int32_t *toBegin = blockBegin.reset(sizes[1] + 1);
  blocks.position = toPosition, blocks.sequence = toSequence;
  blocks.row_begin = toBegin;
  int32_t row = 0;
  for (int64_t i = 0; i < sizes[1]; ++i) {
    *toBegin++ = row;
    for (int32_t at = view.row_begin[i]; at < view.row_begin[i + 1]; ++at)
      if ((view.position[at] + 1) % stride == 0) {
        toPosition[row] = view.position[at];
        toSequence[row++] = static_cast<int32_t>(i);
      }
  }
  *toBegin = row;
  dims[0] = row;
  dims[1] = sizes[1];
}

/// The view of the step's rows with the tokens that follow theirs.
void StepInput::addFollowing(const std::vector<StepItem> &items) {
  std::copy(sizes, sizes + 8,
            viewSizes[static_cast<size_t>(SeqView::Following) - 1]);
  ds_seq &following = *sequences(SeqView::Following);
  following = view;
  if (items.empty() || !items[0].hasFollowing)
    return;
  int32_t *to = followingIds.reset(sizes[0]);
  following.ids = to;
  for (const StepItem &item : items)
    to = std::copy(item.tokens + 1, item.tokens + 1 + item.count, to);
}

void StepInput::build(const std::vector<StepItem> &items,
                      const StepLayout &layout) {
  sizes[0] = sizes[2] = 0;
  sizes[1] = static_cast<int64_t>(items.size());
  for (const StepItem &item : items) {
    sizes[0] += item.count;
    sizes[2] += item.outputs();
  }
  addRows(items);
  addPages(items);
  addQueryTiles(items, layout.queryRows);
  if (layout.hasRoles)
    addViews(items, layout);
  addBlocks(layout.stride);
  addFollowing(items);
}

void StepInput::buildRows(int64_t outputs) {
  std::fill_n(sizes, 8, 0);
  for (int64_t(&each)[8] : viewSizes)
    std::fill_n(each, 8, 0);
  sizes[2] = outputs;
}
