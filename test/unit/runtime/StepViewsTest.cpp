//===- StepViewsTest.cpp - A step's tokens by role ------------------------===//
#include "runtime/StepInput.h"
#include "test/unit/runtime/FakeModel.h"

#include <deque>
#include <random>

using namespace ds::runtime;
using namespace ds::test;

namespace {
/// A sequence's part in a step.
struct Part {
  int64_t past, count;
  bool generated = false;
};

/// A step over sequences whose pages lie in a random order.
class Views {
public:
  explicit Views(const std::vector<Part> &parts, StepLayout layout = {16})
      : parts(parts) {
    Manifest manifest = *Manifest::parse(fakeManifest(), "m");
    StateOptions options;
    options.pages = 0;
    for (const Part &part : parts)
      options.pages += (part.past + part.count + 63) / 64;
    options.permutePages = true;
    pool = std::move(*StatePool::create(manifest, options));
    tokens.resize(4096);
    for (const Part &part : parts) {
      Sequence &sequence = sequences.emplace_back(*pool);
      sequence.reserve(part.past);
      sequence.advance(part.past);
      sequence.reserve(part.count);
      StepItem item;
      item.sequence = &sequence;
      item.tokens = tokens.data();
      item.count = item.firstOutput = part.count;
      item.generated = part.generated;
      items.push_back(item);
    }
    layout.hasRoles = true;
    build(layout);
  }

  void build(const StepLayout &layout) { input.build(items, layout); }
  const ds_seq &of(SeqView which) { return *input.sequences(which); }
  const int64_t *dims(SeqView which) { return input.dims(which); }
  int32_t page(size_t part, int64_t position) const {
    return sequences[part].pageNumbers()[position / 64];
  }

  std::vector<Part> parts;
  std::unique_ptr<StatePool> pool;
  std::deque<Sequence> sequences;
  std::vector<int32_t> tokens;
  std::vector<StepItem> items;
  StepInput input;
};
} // namespace

/// Every row of a role's view is the token that it says, whose page and whose
/// query tile are its own.
static void checkRole(Views &views, bool generated, int64_t queryRows) {
  SeqView which = generated ? SeqView::Generated : SeqView::Prompt;
  const ds_seq &step = views.of(SeqView::Step), &view = views.of(which);
  const int64_t *dims = views.dims(which);
  int64_t row = 0, run = 0, begin = 0, expandedPage = 0;
  std::vector<int> tiled(dims[0]);
  for (size_t i = 0; i < views.parts.size(); ++i) {
    const Part &part = views.parts[i];
    if (part.generated == generated) {
      ASSERT_LT(run, dims[1]);
      EXPECT_EQ(view.row_begin[run], row);
      EXPECT_EQ(view.past[run], part.past);
      for (int64_t p = 0; p < part.past + part.count; p += 64)
        EXPECT_EQ(view.pages[run * view.max_pages + p / 64],
                  generated ? views.page(i, p) : expandedPage + p / 64);
      for (int64_t j = 0; j < part.count; ++j, ++row) {
        EXPECT_EQ(view.rows[row], begin + j);
        EXPECT_EQ(view.position[row], part.past + j);
        EXPECT_EQ(view.sequence[row], run);
        EXPECT_EQ(step.view_row[begin + j], generated ? -1 - row : row);
      }
      ++run;
    }
    if (!part.generated)
      expandedPage += (part.past + part.count + 63) / 64;
    begin += part.count;
  }
  EXPECT_EQ(dims[0], row);
  EXPECT_EQ(dims[1], run);
  EXPECT_EQ(view.row_begin[run], row);
  for (int64_t i = 0; i < dims[3]; ++i) {
    const int32_t *tile = view.query_tiles + 3 * i;
    EXPECT_LE(tile[2], queryRows);
    for (int32_t j = tile[1]; j < tile[1] + tile[2]; ++j) {
      EXPECT_EQ(view.sequence[j], tile[0]);
      ++tiled[j];
    }
  }
  EXPECT_EQ(tiled, std::vector<int>(dims[0], 1));
}

/// The positions that prompt tokens see, each in a row of its own.
static void checkExpanded(Views &views) {
  const ds_seq &step = views.of(SeqView::Step);
  const ds_seq &view = views.of(SeqView::Expanded);
  const int64_t *dims = views.dims(SeqView::Expanded);
  int64_t row = 0, owner = 0, begin = 0;
  for (size_t i = 0; i < views.parts.size(); ++i) {
    const Part &part = views.parts[i];
    int64_t end = part.past + part.count;
    for (int64_t j = 0; j < part.count; ++j)
      EXPECT_EQ(step.expanded_row[begin + j],
                part.generated ? -1 : row + part.past + j);
    if (!part.generated) {
      ASSERT_LT(owner, dims[1]);
      EXPECT_EQ(view.row_begin[owner], row);
      EXPECT_EQ(view.past[owner], 0);
      EXPECT_EQ(view.lengths[owner], end);
      for (int64_t p = 0; p < (end + 63) / 64 * 64; ++p, ++row) {
        EXPECT_EQ(view.position[row], p);
        EXPECT_EQ(view.sequence[row], owner);
        int64_t at = owner * view.max_pages + p / 64;
        EXPECT_EQ(view.pages[at], row / 64);
        EXPECT_EQ(view.state_pages[at], views.page(i, p));
      }
      ++owner;
    }
    begin += part.count;
  }
  EXPECT_EQ(dims[0], row);
  EXPECT_EQ(dims[1], owner);
  EXPECT_EQ(view.row_begin[owner], row);
}

static void checkViews(const std::vector<Part> &parts) {
  StepLayout layout(16);
  layout.promptQueryRows = 8;
  layout.generatedQueryRows = 3;
  Views views(parts, layout);
  checkRole(views, /*generated=*/false, 8);
  checkRole(views, /*generated=*/true, 3);
  checkExpanded(views);
}

TEST(StepViews, OnePromptIsItsOwnView) { checkViews({{0, 100}}); }

TEST(StepViews, ChunksSeeWhatWasKept) {
  checkViews({{64, 1}, {63, 1}, {100, 29}, {1, 200}});
}

TEST(StepViews, GeneratedTokensHaveNoExpandedRows) {
  checkViews({{70, 1, true}, {3, 5, true}});
  Views views({{70, 1, true}});
  EXPECT_EQ(views.input.rows(), (RowCounts{1, 0, 0, 1, 0, 0}));
}

TEST(StepViews, RolesMayAlternate) {
  checkViews({{5, 3, true}, {0, 65}, {200, 1, true}, {127, 1}, {0, 1, true},
              {64, 64}});
}

TEST(StepViews, RandomSteps) {
  std::mt19937 random(7);
  auto pick = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  for (int turn = 0; turn < 200 && !testing::Test::HasFailure(); ++turn) {
    SCOPED_TRACE("turn " + std::to_string(turn));
    std::vector<Part> parts(pick(1, 9));
    for (Part &part : parts)
      part = {pick(0, 2) ? pick(0, 300) : 64 * pick(0, 4), pick(1, 150),
              pick(0, 1) == 1};
    checkViews(parts);
  }
}

/// Views of a step whose tokens have roles of their own, told row by row.
static void checkMixed(const std::vector<Part> &parts,
                       const std::vector<std::vector<uint8_t>> &roles) {
  Views views(parts);
  for (size_t i = 0; i < parts.size(); ++i)
    views.items[i].roles = roles[i].data();
  StepLayout layout(16);
  layout.hasRoles = true;
  views.build(layout);
  const ds_seq &step = views.of(SeqView::Step);
  const ds_seq &expanded = views.of(SeqView::Expanded);
  auto of = [&](bool generated) -> const ds_seq & {
    return views.of(generated ? SeqView::Generated : SeqView::Prompt);
  };
  int64_t rows[2] = {0, 0}, runs[2] = {-1, -1}, sequences[2] = {0, 0};
  int64_t row = 0, firstExpanded = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    int64_t end = 0;
    for (int64_t j = 0; j < parts[i].count; ++j)
      if (!roles[i][j])
        end = parts[i].past + j + 1;
    // Every sequence of the step has its generated runs, every expanded one
    // those of prompts.
    for (bool generated : {false, true})
      if (generated || end)
        EXPECT_EQ(of(generated).runs[sequences[generated]++],
                  runs[generated] + 1);
    for (int64_t j = 0; j < parts[i].count; ++j, ++row) {
      bool generated = roles[i][j] != 0;
      const ds_seq &view = of(generated);
      int64_t at = rows[generated]++, position = parts[i].past + j;
      if (j == 0 || generated != (roles[i][j - 1] != 0)) {
        ++runs[generated];
        EXPECT_EQ(view.row_begin[runs[generated]], at);
        EXPECT_EQ(view.past[runs[generated]], position);
      }
      EXPECT_EQ(view.rows[at], row);
      EXPECT_EQ(view.position[at], position);
      EXPECT_EQ(view.sequence[at], runs[generated]);
      EXPECT_EQ(step.view_row[row], generated ? -1 - at : at);
      EXPECT_EQ(step.expanded_row[row],
                position < end ? firstExpanded + position : -1);
      int64_t page = runs[generated] * view.max_pages + position / 64;
      EXPECT_EQ(view.pages[page], generated
                                      ? views.page(i, position)
                                      : (firstExpanded + position) / 64);
    }
    if (end) {
      EXPECT_EQ(expanded.lengths[sequences[0] - 1], end);
      firstExpanded += (end + 63) / 64 * 64;
    }
  }
  for (bool generated : {false, true}) {
    const int64_t *dims = views.dims(generated ? SeqView::Generated
                                               : SeqView::Prompt);
    EXPECT_EQ(dims[0], rows[generated]);
    EXPECT_EQ(dims[1], runs[generated] + 1);
    EXPECT_EQ(of(generated).row_begin[dims[1]], rows[generated]);
    EXPECT_EQ(of(generated).runs[sequences[generated]], dims[1]);
  }
  EXPECT_EQ(views.dims(SeqView::Expanded)[0], firstExpanded);
  EXPECT_EQ(views.dims(SeqView::Expanded)[1], sequences[0]);
}

TEST(StepViews, TokensOfASequenceHaveRolesOfTheirOwn) {
  checkMixed({{3, 6}}, {{0, 0, 1, 1, 0, 1}});
  checkMixed({{0, 3}, {64, 2}, {5, 2}}, {{1, 1, 1}, {0, 1}, {1, 0}});
  std::mt19937 random(11);
  for (int turn = 0; turn < 200 && !testing::Test::HasFailure(); ++turn) {
    SCOPED_TRACE("turn " + std::to_string(turn));
    std::vector<Part> parts(1 + random() % 6);
    std::vector<std::vector<uint8_t>> roles;
    for (Part &part : parts) {
      part = {static_cast<int64_t>(random() % 200),
              static_cast<int64_t>(1 + random() % 150)};
      std::vector<uint8_t> &flags = roles.emplace_back();
      auto role = static_cast<uint8_t>(random() % 2);
      for (int64_t j = 0; j < part.count; ++j) {
        role ^= static_cast<uint8_t>(random() % 20 == 0);
        flags.push_back(role);
      }
    }
    checkMixed(parts, roles);
  }
}

/// Arrays of an earlier, larger step leave nothing behind.
TEST(StepViews, StepsAfterLargerOnes) {
  Views views({{0, 300}, {10, 20, true}});
  views.items.pop_back();
  views.parts.pop_back();
  views.parts[0].count = 40;
  views.items[0].count = views.items[0].firstOutput = 40;
  StepLayout layout(16);
  layout.hasRoles = true;
  views.build(layout);
  checkRole(views, /*generated=*/false, 1);
  checkRole(views, /*generated=*/true, 1);
  checkExpanded(views);
}

/// The rows of a step with the tokens after theirs.
TEST(StepViews, FollowingTokens) {
  Views views({{0, 3}, {5, 2}});
  std::vector<int32_t> first = {1, 2, 3, 4}, second = {7, 8, 9};
  views.items[0].tokens = first.data();
  views.items[1].tokens = second.data();
  for (StepItem &item : views.items) {
    item.hasFollowing = true;
    item.firstOutput = 1;
  }
  views.build({16});
  const ds_seq &step = views.of(SeqView::Step);
  const ds_seq &following = views.of(SeqView::Following);
  auto row = [](const int32_t *from, size_t count) {
    return std::vector<int32_t>(from, from + count);
  };
  EXPECT_EQ(row(step.ids, 5), (std::vector<int32_t>{1, 2, 3, 7, 8}));
  EXPECT_EQ(row(following.ids, 5), (std::vector<int32_t>{2, 3, 4, 8, 9}));
  EXPECT_EQ(row(following.position, 5), row(step.position, 5));
  EXPECT_EQ(row(following.out_rows, 3), row(step.out_rows, 3));
  EXPECT_EQ(following.pages, step.pages);
  EXPECT_EQ(views.dims(SeqView::Following)[0], views.dims(SeqView::Step)[0]);
}
