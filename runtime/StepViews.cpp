//===- StepViews.cpp - A step's tokens by role, expanded positions --------===//
//
// The views of docs/artifact.md: prompt tokens, generated tokens, and the
// positions that prompt tokens see, in pages of the step's own.
//
//===----------------------------------------------------------------------===//
#include "runtime/StepInput.h"

#include <algorithm>

using namespace ds::runtime;

static int32_t countPages(int32_t positions) {
  constexpr auto page = static_cast<int32_t>(Manifest::pagePositions);
  return (positions + page - 1) / page;
}

/// Sorts the step's rows by role and gives each its row there.
void StepInput::findRoles(const std::vector<StepItem> &items) {
  for (RoleRows *role : {&prompt, &generated}) {
    role->rows.clear();
    role->runs.clear();
  }
  expandedEnd.assign(items.size(), 0);
  int32_t *toView = viewRow.reset(sizes[0]);
  view.view_row = toView;
  int32_t row = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    RoleRows *last = nullptr;
    for (int64_t j = 0; j < items[i].count; ++j, ++row) {
      bool isGenerated = items[i].isGenerated(j);
      RoleRows &role = isGenerated ? generated : prompt;
      auto to = static_cast<int32_t>(role.rows.size());
      int32_t position = view.past[i] + static_cast<int32_t>(j);
      if (&role != last)
        role.runs.push_back({static_cast<int32_t>(i), position, to, 0});
      last = &role;
      ++role.runs.back().count;
      role.rows.push_back(row);
      *toView++ = isGenerated ? -1 - to : to;
      if (!isGenerated)
        expandedEnd[i] = position + 1;
    }
  }
}

/// Every sequence with prompt tokens has pages from a number of its own on.
void StepInput::addExpanded(const std::vector<StepItem> &items) {
  constexpr auto page = static_cast<int32_t>(Manifest::pagePositions);
  int64_t *dims = viewSizes[static_cast<size_t>(SeqView::Expanded) - 1];
  ds_seq &to = *sequences(SeqView::Expanded);
  expandedBegin.assign(items.size(), 0);
  int32_t pageCount = 0, most = 0;
  std::vector<size_t> owners;
  for (size_t i = 0; i < items.size(); ++i) {
    if (expandedEnd[i] == 0)
      continue;
    owners.push_back(i);
    expandedBegin[i] = pageCount * page;
    pageCount += countPages(expandedEnd[i]);
    most = std::max(most, countPages(expandedEnd[i]));
  }
  size_t rowCount = static_cast<size_t>(pageCount) * page;
  dims[0] = static_cast<int64_t>(rowCount);
  dims[1] = static_cast<int64_t>(owners.size());
  int32_t *position = expandedPosition.reset(rowCount);
  int32_t *sequence = expandedSequence.reset(rowCount);
  int32_t *first = expandedFirst.reset(owners.size() + 1);
  int32_t *past = expandedPast.reset(owners.size());
  int32_t *pages = expandedPages.reset(owners.size() * most);
  int32_t *kept = statePages.reset(owners.size() * most);
  int32_t *lengths = expandedLengths.reset(owners.size());
  to = {};
  to.position = position, to.sequence = sequence;
  to.row_begin = first, to.past = past, to.lengths = lengths;
  to.pages = pages, to.state_pages = kept, to.max_pages = most;
  for (size_t s = 0; s < owners.size(); ++s) {
    size_t i = owners[s];
    int32_t begin = expandedBegin[i], end = expandedEnd[i];
    int32_t own = countPages(end);
    first[s] = begin, past[s] = 0, lengths[s] = end;
    for (int32_t j = 0; j < own * page; ++j) {
      position[begin + j] = j;
      sequence[begin + j] = static_cast<int32_t>(s);
    }
    for (int32_t j = 0; j < most; ++j) {
      pages[s * most + j] = j < own ? begin / page + j : 0;
      kept[s * most + j] =
          j < own ? view.pages[i * view.max_pages + j] : 0;
    }
  }
  first[owners.size()] = static_cast<int32_t>(rowCount);
  int32_t *toRow = expandedRow.reset(sizes[0]);
  view.expanded_row = toRow;
  for (int64_t t = 0; t < sizes[0]; ++t) {
    int32_t i = view.sequence[t];
    toRow[t] = view.position[t] < expandedEnd[i]
                   ? expandedBegin[i] + view.position[t]
                   : -1;
  }
}

/// Runs count as sequences. Prompt tokens find their pages among the expanded
/// ones, generated tokens in the states.
void StepInput::addRole(SeqView which, RoleRows &role, int64_t queryRows) {
  int64_t *dims = viewSizes[static_cast<size_t>(which) - 1];
  ds_seq &to = *sequences(which);
  bool isPrompt = which == SeqView::Prompt;
  auto page = static_cast<int32_t>(Manifest::pagePositions);
  int64_t most = view.max_pages;
  size_t tiles = 0;
  for (const RoleRows::Run &run : role.runs)
    tiles += (run.count + queryRows - 1) / queryRows;
  dims[0] = static_cast<int64_t>(role.rows.size());
  dims[1] = static_cast<int64_t>(role.runs.size());
  dims[3] = static_cast<int64_t>(tiles);
  int32_t *rows = role.toRows.reset(role.rows.size());
  int32_t *position = role.position.reset(role.rows.size());
  int32_t *sequence = role.sequence.reset(role.rows.size());
  int32_t *begin = role.begin.reset(role.runs.size() + 1);
  int32_t *past = role.past.reset(role.runs.size());
  int32_t *pages = role.pages.reset(role.runs.size() * most);
  int32_t *tile = role.tiles.reset(3 * tiles);
  to = {};
  to.rows = rows, to.position = position, to.sequence = sequence;
  to.row_begin = begin, to.past = past, to.query_tiles = tile;
  to.pages = pages, to.max_pages = most;
  std::copy(role.rows.begin(), role.rows.end(), rows);
  for (size_t s = 0; s < role.runs.size(); ++s) {
    const RoleRows::Run &run = role.runs[s];
    begin[s] = run.begin, past[s] = run.position;
    for (int32_t j = 0; j < run.count; ++j) {
      position[run.begin + j] = run.position + j;
      sequence[run.begin + j] = static_cast<int32_t>(s);
    }
    int32_t own = countPages(expandedEnd[run.item]);
    for (int64_t j = 0; j < most; ++j)
      pages[s * most + j] =
          !isPrompt ? view.pages[run.item * most + j]
          : j < own
              ? expandedBegin[run.item] / page + static_cast<int32_t>(j)
              : 0;
    for (int64_t from = 0; from < run.count; from += queryRows) {
      *tile++ = static_cast<int32_t>(s);
      *tile++ = run.begin + static_cast<int32_t>(from);
      *tile++ = static_cast<int32_t>(std::min(queryRows, run.count - from));
    }
  }
  begin[role.runs.size()] = static_cast<int32_t>(role.rows.size());
  addRuns(which, role);
}

/// The runs of each sequence of the step, or of each expanded one.
void StepInput::addRuns(SeqView which, RoleRows &role) {
  int32_t *first = role.firstRuns.reset(expandedEnd.size() + 1);
  sequences(which)->runs = first;
  size_t run = 0;
  for (size_t i = 0; i < expandedEnd.size(); ++i) {
    if (which == SeqView::Generated || expandedEnd[i] > 0)
      *first++ = static_cast<int32_t>(run);
    while (run < role.runs.size() &&
           role.runs[run].item == static_cast<int32_t>(i))
      ++run;
  }
  *first = static_cast<int32_t>(run);
}

void StepInput::addViews(const std::vector<StepItem> &items,
                         const StepLayout &layout) {
  findRoles(items);
  addExpanded(items);
  addRole(SeqView::Prompt, prompt, layout.promptQueryRows);
  addRole(SeqView::Generated, generated, layout.generatedQueryRows);
}
