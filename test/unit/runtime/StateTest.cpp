//===- StateTest.cpp - Pages, forks and truncation ------------------------===//
#include "runtime/State.h"
#include "test/unit/runtime/FakeModel.h"

#include <cmath>
#include <set>

using namespace ds::runtime;
using namespace ds::test;

static std::unique_ptr<StatePool> makePool(int64_t pages, bool poison = false,
                                           bool permute = false) {
  StateOptions options;
  options.pages = pages;
  options.poisonFreePages = poison;
  options.permutePages = permute;
  Manifest manifest = *Manifest::parse(fakeManifest(), "m");
  return std::move(*StatePool::create(manifest, options));
}

static void append(Sequence &sequence, int64_t tokens) {
  sequence.reserve(tokens);
  sequence.advance(tokens);
}

TEST(State, PagesAreTakenWhenTheyAreNeeded) {
  auto pool = makePool(4);
  Sequence sequence(*pool);
  EXPECT_EQ(sequence.pagesToAppend(64), 1);
  EXPECT_EQ(sequence.pagesToAppend(65), 2);
  append(sequence, 64);
  EXPECT_EQ(pool->freePages(), 3);
  EXPECT_EQ(sequence.pagesToAppend(1), 1);
  append(sequence, 1);
  EXPECT_EQ(sequence.pagesToAppend(63), 0);
  append(sequence, 63);
  EXPECT_EQ(pool->freePages(), 2);
}

TEST(State, SharedPagesAreCopiedWhenOneGoesOn) {
  auto pool = makePool(4);
  Sequence a(*pool);
  append(a, 70);
  char *base = pool->data(1, 1);
  int64_t bytes = 64 * 32 * 4;
  base[a.pageNumbers()[1] * bytes + 5] = 42;
  Sequence b = a.fork();
  EXPECT_EQ(pool->freePages(), 2);
  EXPECT_EQ(b.pagesToAppend(1), 1);
  append(b, 1);
  EXPECT_EQ(pool->freePages(), 1);
  EXPECT_EQ(a.pageNumbers()[0], b.pageNumbers()[0]);
  EXPECT_NE(a.pageNumbers()[1], b.pageNumbers()[1]);
  EXPECT_EQ(base[b.pageNumbers()[1] * bytes + 5], 42);
  // The other one is alone with its page now.
  EXPECT_EQ(a.pagesToAppend(1), 0);
}

TEST(State, FullPagesAreNeverCopied) {
  auto pool = makePool(4);
  Sequence a(*pool);
  append(a, 128);
  Sequence b = a.fork();
  EXPECT_EQ(b.pagesToAppend(1), 1);
  append(b, 1);
  append(a, 1);
  EXPECT_EQ(a.pageNumbers()[1], b.pageNumbers()[1]);
  EXPECT_EQ(pool->freePages(), 0);
}

TEST(State, TruncationIntoASharedPageCopiesItLater) {
  auto pool = makePool(4);
  Sequence a(*pool);
  append(a, 128);
  Sequence b = a.fork();
  b.truncate(100);
  EXPECT_EQ(pool->freePages(), 2);
  EXPECT_EQ(b.pagesToAppend(10), 1);
  b.truncate(64);
  EXPECT_EQ(b.pageNumbers().size(), 1u);
  EXPECT_EQ(pool->freePages(), 2);
  a.truncate(0);
  EXPECT_EQ(pool->freePages(), 3);
}

static void draft(Sequence &sequence, int64_t rows) {
  sequence.reserveDraft(rows);
  sequence.advanceDraft(rows);
}

/// Row i of a draft head goes with tokens i and i + 1.
TEST(State, DraftsGoWithTheNextToken) {
  auto pool = makePool(4);
  Sequence a(*pool);
  append(a, 100);
  draft(a, 100);
  Sequence b = a.fork();
  EXPECT_EQ(a.draftLength(), 100);
  EXPECT_EQ(b.draftLength(), 99);
  a.truncate(90);
  EXPECT_EQ(a.draftLength(), 89);
  append(a, 5);
  EXPECT_EQ(a.draftLength(), 89);
  a.truncateDraft(80);
  a.truncate(85);
  EXPECT_EQ(a.draftLength(), 80);
  Sequence moved = std::move(a);
  EXPECT_EQ(moved.draftLength(), 80);
  EXPECT_EQ(a.draftLength(), 0);
  moved.truncate(0);
  EXPECT_EQ(moved.draftLength(), 0);
}

TEST(State, DraftsOwnTheirPages) {
  auto pool = makePool(5);
  Sequence a(*pool);
  append(a, 64);
  draft(a, 63);
  Sequence b = a.fork();
  // Both go on with tokens of their own, in the page that they share.
  EXPECT_EQ(b.pagesToDraft(1), 1);
  draft(b, 1);
  EXPECT_NE(a.pageNumbers()[0], b.pageNumbers()[0]);
  EXPECT_EQ(a.pagesToDraft(1), 0);
  // Guesses that are fed back lie beyond the tokens.
  EXPECT_EQ(b.pagesToDraft(2), 1);
  draft(b, 2);
  EXPECT_EQ(b.pageNumbers().size(), 2u);
  b.truncateDraft(64);
  EXPECT_EQ(b.pagesToAppend(3), 0);
  append(b, 3);
  b.truncate(64);
  EXPECT_EQ(b.pageNumbers().size(), 1u);
  EXPECT_EQ(b.draftLength(), 63);
}

TEST(State, PagesComeBack) {
  auto pool = makePool(8);
  {
    Sequence a(*pool);
    append(a, 200);
    Sequence b = a.fork(), c = b.fork();
    append(c, 30);
    b = std::move(c);
  }
  EXPECT_EQ(pool->freePages(), 8);
}

TEST(State, FreePagesArePoisoned) {
  auto pool = makePool(2, /*poison=*/true);
  Sequence a(*pool);
  append(a, 1);
  int32_t page = a.pageNumbers()[0];
  float *first = reinterpret_cast<float *>(pool->data(0, 1)) + page * 64 * 32;
  EXPECT_TRUE(std::isnan(*first));
  *first = 1;
  a.truncate(0);
  EXPECT_TRUE(std::isnan(*first));
}

TEST(State, PagesArePermuted) {
  auto pool = makePool(100, false, /*permute=*/true);
  Sequence a(*pool);
  append(a, 6400);
  std::set<int32_t> pages(a.pageNumbers().begin(), a.pageNumbers().end());
  EXPECT_EQ(pages.size(), 100u);
  EXPECT_FALSE(std::is_sorted(a.pageNumbers().begin(), a.pageNumbers().end()));
}

TEST(State, NumberOfPages) {
  Manifest manifest = *Manifest::parse(fakeManifest(), "m");
  EXPECT_EQ(errorOf(StatePool::create(manifest, {})),
            "expects the number of pages (0) to be between 1 and 2147483647");
}
