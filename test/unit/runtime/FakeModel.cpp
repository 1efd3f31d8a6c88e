//===- FakeModel.cpp - The tiny model of fake_model/, computed again ------===//
#include "test/unit/runtime/FakeModel.h"

#include <random>

using namespace ds::test;
using namespace ds::runtime;

std::string ds::test::fakeArtifact() { return FAKE_ARTIFACT; }

std::string ds::test::fakeManifest() { return readFile(FAKE_MANIFEST); }

FakeModel::FakeModel(uint64_t seed) {
  std::mt19937_64 random(seed);
  auto add = [&](const std::string &name, std::vector<int64_t> shape) {
    size_t count = 1;
    for (int64_t size : shape)
      count *= size;
    std::vector<float> &to = values[name];
    for (size_t i = 0; i < count; ++i)
      to.push_back((static_cast<int>(random() % 33) - 16) / 32.0f);
    shapes[name] = std::move(shape);
  };
  add("embed.weight", {vocabulary, width});
  add("head.weight", {vocabulary, width});
  for (int layer = 0; layer < layers; ++layer) {
    std::string prefix = "layers." + std::to_string(layer) + ".";
    add(prefix + "mix_a.weight", {7, width});
    add(prefix + "mix_b.weight", {5, width});
    add(prefix + "bias", {width});
    add(prefix + "gate.weight", {pairs, width});
    add(prefix + "up.weight", {pairs, width});
  }
}

std::vector<FileTensor> FakeModel::tensors(const std::string &dtype) const {
  std::vector<FileTensor> list;
  for (const auto &[name, floats] : values)
    list.push_back({name, dtype, shapes.at(name), encode(floats, dtype)});
  return list;
}

void FakeModel::write(const TempFolder &folder,
                      const std::string &dtype) const {
  folder.write("model.safetensors", safetensors(tensors(dtype)));
}

/// Runs one layer on all tokens, in place.
void FakeModel::runLayer(int layer, std::vector<float> &x,
                         size_t tokens) const {
  std::string prefix = "layers." + std::to_string(layer) + ".";
  std::vector<float> mix = get(prefix + "mix_a.weight");
  const std::vector<float> &rest = get(prefix + "mix_b.weight");
  mix.insert(mix.end(), rest.begin(), rest.end());
  const std::vector<float> &bias = get(prefix + "bias");
  const std::vector<float> &gate = get(prefix + "gate.weight");
  const std::vector<float> &up = get(prefix + "up.weight");
  std::vector<float> out(x.size());
  for (size_t t = 0; t < tokens; ++t) {
    const float *row = &x[t * width];
    float sum[width] = {}, y[width];
    for (size_t p = 0; p <= t; ++p) {
      float score = 0;
      for (int c = 0; c < width; ++c)
        score += row[c] * x[p * width + c];
      for (int c = 0; c < width; ++c)
        sum[c] += score / static_cast<int>(1 + t) * (0.5f * x[p * width + c]);
    }
    for (int n = 0; n < width; ++n) {
      y[n] = row[n] + bias[n];
      for (int k = 0; k < width; ++k)
        y[n] += mix[n * width + k] * sum[k];
    }
    for (int j = 0; j < pairs; ++j) {
      float g = 0, u = 0;
      for (int k = 0; k < width; ++k) {
        g += gate[j * width + k] * y[k];
        u += up[j * width + k] * y[k];
      }
      float &to = out[t * width + j % width];
      to = (j < width ? y[j] : to) + 0.125f * g * u;
    }
  }
  x = out;
}

FakeResult FakeModel::run(const std::vector<int32_t> &ids) const {
  FakeResult result;
  std::vector<float> x;
  for (int32_t id : ids)
    for (int c = 0; c < width; ++c)
      x.push_back(get("embed.weight")[id * width + c]);
  result.hidden.push_back(x);
  for (int layer = 0; layer < layers; ++layer) {
    runLayer(layer, x, ids.size());
    result.hidden.push_back(x);
  }
  for (float &value : x)
    value *= 0.25f;
  result.hidden.push_back(x);
  for (size_t t = 0; t < ids.size(); ++t) {
    std::vector<float> &logits = result.logits.emplace_back(vocabulary);
    for (int n = 0; n < vocabulary; ++n)
      for (int k = 0; k < width; ++k)
        logits[n] += get("head.weight")[n * width + k] * x[t * width + k];
  }
  return result;
}

FakeSession::FakeSession(int threads, int64_t pages, EngineOptions options,
                         bool adverse)
    : pool(threads) {
  model.write(folder);
  ArtifactOptions how;
  how.variant = "avx2";
  artifact = std::move(*Artifact::open(fakeArtifact(), how));
  weights =
      std::move(*Weights::load(artifact->manifest(), folder.path(), pool));
  engine = std::move(*Engine::create(*artifact, weights, pool, options));
  StateOptions where;
  where.pages = pages;
  where.permutePages = where.poisonFreePages = adverse;
  state = std::move(*StatePool::create(artifact->manifest(), where));
}

void FakeSession::append(Sequence &sequence, const std::vector<int32_t> &ids,
                         std::vector<std::vector<float>> &out) {
  auto error = engine->step(
      {{&sequence, ids.data(), static_cast<int64_t>(ids.size()), 0}});
  ASSERT_FALSE(error) << error->message;
  for (int64_t i = 0; i < engine->outputs(); ++i)
    out.push_back(row(i));
}

std::vector<float> FakeSession::row(int64_t index) const {
  const float *logits = engine->logits(index);
  return std::vector<float>(logits, logits + FakeModel::vocabulary);
}

std::vector<int32_t> ds::test::randomIds(size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<int32_t> ids(count);
  for (int32_t &id : ids)
    id = static_cast<int32_t>(random() % FakeModel::vocabulary);
  return ids;
}
