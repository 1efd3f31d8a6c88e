//===- Loader.cpp - Batches of a data set in shuffled order ---------------===//

#include "runtime/data/Loader.h"

#include "runtime/text/Sampler.h"

#include <numeric>

namespace ds::data {

Loader::Loader(const Dataset &data, const LoaderOptions &options, Cursor at)
    : data(&data), options(options), at(at) {
  order();
}

Result<Loader> Loader::create(const Dataset &data, const LoaderOptions &options,
                              Cursor cursor) {
  for (int64_t i = 0; i < data.size(); ++i)
    if (data[i].rows() > options.batchTokens)
      return Error{data.place(data[i]) + ": the example takes " +
                   std::to_string(data[i].rows()) +
                   " tokens of a step; expects at most --batch-tokens (" +
                   std::to_string(options.batchTokens) + ")"};
  if (cursor.index >= static_cast<uint64_t>(data.size()))
    return Error{"expects a place among the " + std::to_string(data.size()) +
                 " examples of the data, got " + std::to_string(cursor.index)};
  return Loader(data, options, cursor);
}

/// Returns a number below `limit`, which is less than 2^32. The bias of taking
/// the high half of a product with 64 random bits is below 2^-32.
static uint32_t draw(uint64_t seed, uint64_t epoch, uint64_t place,
                     uint32_t limit) {
  std::array<uint32_t, 4> block =
      text::philox({uint32_t(place), uint32_t(place >> 32), uint32_t(epoch),
                    uint32_t(epoch >> 32)},
                   {uint32_t(seed), uint32_t(seed >> 32)});
  uint64_t high = uint64_t(block[0]) * limit;
  uint64_t low = uint64_t(block[1]) * limit;
  return static_cast<uint32_t>((high + (low >> 32)) >> 32);
}

/// Orders the examples of the cursor's epoch.
void Loader::order() {
  places.resize(data->size());
  std::iota(places.begin(), places.end(), 0u);
  if (!options.shuffle)
    return;
  for (size_t i = places.size() - 1; i > 0; --i)
    std::swap(
        places[i],
        places[draw(options.seed, at.epoch, i, static_cast<uint32_t>(i) + 1)]);
}

Batch Loader::next() {
  Batch batch;
  batch.begin = at;
  while (at.index < places.size()) {
    const Example &example = (*data)[places[at.index]];
    if (batch.rows + example.rows() > options.batchTokens)
      break;
    batch.examples.push_back(&example);
    batch.rows += example.rows();
    batch.targets += example.targets();
    ++at.index;
  }
  if (at.index == places.size()) {
    at = {at.epoch + 1, 0};
    order();
  }
  batch.end = at;
  return batch;
}

double Loader::epochs() const {
  return static_cast<double>(at.epoch) +
         static_cast<double>(at.index) / static_cast<double>(places.size());
}

} // namespace ds::data
