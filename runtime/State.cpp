//===- State.cpp - Paged state and sequences ------------------------------===//
#include "runtime/State.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <random>

using namespace ds::runtime;

static constexpr int64_t pagePositions = Manifest::pagePositions;

Result<std::unique_ptr<StatePool>>
StatePool::create(const Manifest &manifest, const StateOptions &options) {
  if (options.pages < 1 || options.pages > INT32_MAX)
    return failure("expects the number of pages (", options.pages,
                   ") to be between 1 and ", INT32_MAX);
  std::unique_ptr<StatePool> pool(new StatePool);
  pool->capacity = options.pages;
  pool->poison = options.poisonFreePages;
  int64_t bytes = 0;
  for (const StateSpec &state : manifest.states) {
    pool->states.push_back({bytes, state.pageBytes(), state.layers});
    bytes += state.layers * options.pages * state.pageBytes();
  }
  Result<Mapping> memory = Mapping::allocate(bytes);
  if (!memory)
    return failure("cannot keep state of ", options.pages,
                   " pages: ", memory.error());
  pool->memory = std::move(*memory);
  pool->references.resize(options.pages);
  pool->freeList.resize(options.pages);
  for (int64_t i = 0; i < options.pages; ++i)
    pool->freeList[i] = static_cast<int32_t>(options.pages - 1 - i);
  if (options.permutePages)
    std::shuffle(pool->freeList.begin(), pool->freeList.end(),
                 std::mt19937_64(options.seed));
  if (pool->poison)
    memset(pool->memory.data(), 0xff, pool->memory.size());
  return pool;
}

int32_t StatePool::take() {
  assert(!freeList.empty() && "pages were not counted before");
  int32_t page = freeList.back();
  freeList.pop_back();
  references[page] = 1;
  return page;
}

void StatePool::release(int32_t page) {
  if (--references[page] > 0)
    return;
  freeList.push_back(page);
  if (poison)
    fill(page, 0xff); // A NaN in bf16 and in f32.
}

void StatePool::copy(int32_t from, int32_t to) {
  for (size_t state = 0; state < states.size(); ++state)
    for (int64_t layer = 0; layer < states[state].layers; ++layer) {
      char *base = data(state, layer);
      int64_t size = states[state].pageBytes;
      memcpy(base + to * size, base + from * size, size);
    }
}

void StatePool::fill(int32_t page, int byte) {
  for (size_t state = 0; state < states.size(); ++state)
    for (int64_t layer = 0; layer < states[state].layers; ++layer) {
      int64_t size = states[state].pageBytes;
      memset(data(state, layer) + page * size, byte, size);
    }
}

Sequence::Sequence(Sequence &&other) noexcept
    : pool(other.pool), pages(std::move(other.pages)),
      positions(other.positions), drafted(other.drafted) {
  other.pages.clear();
  other.positions = other.drafted = 0;
}

Sequence &Sequence::operator=(Sequence &&other) noexcept {
  std::swap(pool, other.pool);
  std::swap(pages, other.pages);
  std::swap(positions, other.positions);
  std::swap(drafted, other.drafted);
  return *this;
}

Sequence::~Sequence() { truncate(0); }

Sequence Sequence::fork() const {
  Sequence twin(*pool);
  twin.pages = pages;
  twin.positions = positions;
  twin.truncateLast(drafted);
  for (int32_t page : pages)
    pool->share(page);
  return twin;
}

void Sequence::truncate(int64_t length) {
  assert(length >= 0 && length <= positions && "truncation lengthens");
  positions = length;
  truncateLast(drafted);
  size_t kept = roundUp(length, pagePositions) / pagePositions;
  while (pages.size() > kept) {
    pool->release(pages.back());
    pages.pop_back();
  }
}

/// Keeps of `rows` rows of the draft head those that another next token leaves
/// as they are.
void Sequence::truncateLast(int64_t rows) {
  drafted = std::min(rows, std::max<int64_t>(0, positions - 1));
}

void Sequence::truncateDraft(int64_t length) {
  assert(length >= 0 && length <= drafted && "truncation lengthens");
  drafted = length;
}

/// Returns how many free pages writing positions [begin, end) takes.
int64_t Sequence::pagesToWrite(int64_t begin, int64_t end) const {
  int64_t count = 0;
  for (int64_t page = begin / pagePositions; page * pagePositions < end; ++page)
    count += page >= static_cast<int64_t>(pages.size()) ||
             pool->references[pages[page]] > 1;
  return count;
}

/// Makes pages for positions [begin, end) that no other sequence has.
void Sequence::own(int64_t begin, int64_t end) {
  for (int64_t page = begin / pagePositions; page * pagePositions < end;
       ++page) {
    if (page >= static_cast<int64_t>(pages.size())) {
      pages.push_back(pool->take());
    } else if (pool->references[pages[page]] > 1) {
      int32_t copy = pool->take();
      pool->copy(pages[page], copy);
      pool->release(pages[page]);
      pages[page] = copy;
    }
  }
}

int64_t Sequence::pagesToAppend(int64_t tokens) const {
  return pagesToWrite(positions, positions + tokens);
}

void Sequence::reserve(int64_t tokens) { own(positions, positions + tokens); }
