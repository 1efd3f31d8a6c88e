//===- WeightsTest.cpp - Checks and packing of weights --------------------===//
#include "runtime/Weights.h"
#include "runtime/BlockScales.h"
#include "runtime/Pack.h"
#include "test/unit/runtime/FakeModel.h"

#include <cmath>
#include <cstring>
#include <fstream>
#include <unistd.h>

using namespace ds::runtime;
using namespace ds::test;

static Manifest manifest() { return *Manifest::parse(fakeManifest(), "m"); }

/// Returns the error of loading these tensors for the tiny model.
static std::string load(const std::vector<FileTensor> &tensors,
                        const Manifest &model = manifest()) {
  TempFolder folder;
  folder.write("model.safetensors", safetensors(tensors));
  ThreadPool pool(1);
  return errorOf(Weights::load(model, folder.path(), pool), folder.path());
}

/// Returns the tensors without the one called `name`, which goes to `taken`.
static std::vector<FileTensor> without(std::vector<FileTensor> tensors,
                                       const std::string &name,
                                       FileTensor *taken = nullptr) {
  for (size_t i = 0; i < tensors.size(); ++i)
    if (tensors[i].name == name) {
      if (taken)
        *taken = tensors[i];
      tensors.erase(tensors.begin() + i);
      break;
    }
  return tensors;
}

TEST(WeightCheck, ListsAllThatDoesNotFit) {
  FileTensor head, bias;
  auto tensors = without(FakeModel().tensors(), "layers.1.gate.weight");
  tensors = without(tensors, "head.weight", &head);
  tensors = without(tensors, "layers.0.bias", &bias);
  head.shape = {12, 40};
  bias.dtype = "I16";
  tensors.push_back(head);
  tensors.push_back(bias);
  tensors.push_back({"more.weight", "F32", {1}, std::string(4, '\0')});
  EXPECT_EQ(load(tensors),
            "the weights in 'DIR' do not fit the artifact, 4 problems:\n"
            "  expects tensor 'layers.0.bias' of type BF16, F16 or F32, found "
            "I16\n"
            "  missing tensor 'layers.1.gate.weight' of shape [20, 12]\n"
            "  expects tensor 'head.weight' of shape [40, 12], found [12, 40]\n"
            "  unexpected tensor 'more.weight' of shape [1]");
}

TEST(WeightCheck, ToleratesWhatNobodyNeeds) {
  auto tensors = FakeModel().tensors();
  tensors.push_back({"layers.0.rotary_emb.inv_freq", "F32", {1}, "1234"});
  tensors.push_back({"lm_head.weight", "F32", {1}, "1234"});
  EXPECT_EQ(load(tensors), "no error");
}

TEST(WeightCheck, OneProblem) {
  EXPECT_EQ(load(without(FakeModel().tensors(), "layers.0.up.weight")),
            "the weights in 'DIR' do not fit the artifact, 1 problem:\n"
            "  missing tensor 'layers.0.up.weight' of shape [20, 12]");
}

/// Copies may be there or not, in another type too; another row is an error.
TEST(WeightCheck, CopiesAreCopies) {
  Manifest model = manifest();
  model.weights[0].copies = {"more.embed"};
  auto tensors = FakeModel().tensors();
  EXPECT_EQ(load(tensors, model), "no error");
  for (const char *dtype : {"BF16", "F32"}) {
    FileTensor copy;
    without(FakeModel().tensors(dtype), "embed.weight", &copy);
    copy.name = "more.embed";
    auto both = tensors;
    both.push_back(copy);
    EXPECT_EQ(load(both, model), "no error");
    EXPECT_NE(load(both), "no error");
  }
  FileTensor copy;
  without(tensors, "embed.weight", &copy);
  copy.name = "more.embed";
  copy.bytes.back() ^= 1;
  auto both = tensors;
  both.push_back(copy);
  EXPECT_EQ(load(both, model),
            "expects tensor 'more.embed' in 'DIR' to be a copy of "
            "'embed.weight', found another row 39: the model's text says that "
            "the two are one weight");
  both.back().shape = {12, 40};
  EXPECT_EQ(load(both, model),
            "the weights in 'DIR' do not fit the artifact, 1 problem:\n"
            "  expects tensor 'more.embed' of shape [40, 12], found [12, 40]");
}

/// A weight of `rows` x `columns` with one layer.
static WeightSpec spec(Layout layout, std::vector<int64_t> partRows,
                       int64_t columns, bool paired = false) {
  WeightSpec weight;
  weight.name = "w";
  weight.layout = layout;
  weight.paired = paired;
  int64_t rows = 0;
  for (size_t i = 0; i < partRows.size(); ++i) {
    weight.parts.push_back({"p" + std::to_string(i), partRows[i]});
    rows += partRows[i];
  }
  weight.shape = {rows, columns};
  if (layout == Layout::VectorF32)
    weight.shape = {rows};
  return weight;
}

/// The value of row `row` and column `k` of part `part`, exact in bf16.
static float valueAt(int64_t part, int64_t row, int64_t k) {
  return static_cast<float>((part * 37 + row * 11 + k * 5) % 251 - 125) / 16;
}

/// Loads `weight` from a file of `dtype` with two threads; `out` receives the
/// packed bytes.
static void pack(const WeightSpec &weight, const std::string &dtype,
                 std::string &out) {
  TempFolder folder;
  std::vector<FileTensor> tensors;
  for (size_t i = 0; i < weight.parts.size(); ++i) {
    std::vector<float> values;
    std::vector<int64_t> shape = weight.shape;
    shape[0] = weight.parts[i].rows;
    for (int64_t row = 0; row < weight.parts[i].rows; ++row)
      for (int64_t k = 0; k < weight.columns(); ++k)
        values.push_back(valueAt(i, row, k));
    tensors.push_back(
        {weight.parts[i].label, dtype, shape, encode(values, dtype)});
  }
  folder.write("model.safetensors", safetensors(tensors));
  Manifest needed;
  needed.weights = {weight};
  ThreadPool pool(2);
  auto weights = Weights::load(needed, folder.path(), pool);
  ASSERT_TRUE(weights) << weights.error();
  out.assign(static_cast<const char *>(weights->data(0, 0)),
             packedBytes(weight));
}

static float bf16At(const std::string &bytes, int64_t index) {
  uint32_t bits = 0;
  memcpy(reinterpret_cast<char *>(&bits) + 2, bytes.data() + 2 * index, 2);
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

static float f32At(const std::string &bytes, int64_t index) {
  float value;
  memcpy(&value, bytes.data() + 4 * index, 4);
  return value;
}

/// The value at packed row n, column k, by the words of docs/artifact.md.
static float expected(const WeightSpec &weight, int64_t n, int64_t k) {
  if (k >= weight.columns())
    return 0;
  if (weight.paired) {
    int64_t part = n % 32 < 16 ? 0 : 1, row = 16 * (n / 32) + n % 16;
    return row < weight.parts[part].rows ? valueAt(part, row, k) : 0;
  }
  for (size_t part = 0; part < weight.parts.size(); ++part) {
    if (n < weight.parts[part].rows)
      return valueAt(part, n, k);
    n -= weight.parts[part].rows;
  }
  return 0;
}

struct PackCase {
  std::vector<int64_t> rows;
  int64_t columns;
  bool paired;
};

static const PackCase packCases[] = {
    {{64}, 96, false},        {{5}, 3, false},      {{33}, 74, false},
    {{32, 7, 30}, 35, false}, {{16, 16}, 32, true}, {{20, 20}, 26, true},
    {{176, 176}, 64, true},   {{1}, 1, false},      {{4096}, 40, false},
    {{3000, 3000}, 50, true}};

TEST(Weights, PanelBf16) {
  for (const PackCase &c : packCases)
    for (const char *dtype : {"BF16", "F16", "F32"}) {
      WeightSpec weight = spec(Layout::PanelBf16, c.rows, c.columns, c.paired);
      std::string bytes;
      pack(weight, dtype, bytes);
      int64_t blocks = roundUp(c.columns, 32) / 32;
      int64_t rows = roundUp(packedRows(weight), 32);
      ASSERT_EQ(bytes.size(), size_t(rows * blocks * 64));
      for (int64_t n = 0; n < rows; ++n)
        for (int64_t k = 0; k < 32 * blocks; ++k) {
          int64_t at = (n / 32 * blocks + k / 32) * 1024 + n % 32 / 16 * 512 +
                       k % 32 / 2 * 32 + n % 16 * 2 + k % 2;
          ASSERT_EQ(bf16At(bytes, at), expected(weight, n, k))
              << dtype << " " << n << ", " << k;
        }
    }
}

TEST(Weights, PanelF32) {
  for (const PackCase &c : packCases)
    for (const char *dtype : {"BF16", "F16", "F32"}) {
      WeightSpec weight = spec(Layout::PanelF32, c.rows, c.columns, c.paired);
      std::string bytes;
      pack(weight, dtype, bytes);
      int64_t columns = roundUp(c.columns, 32);
      int64_t rows = roundUp(packedRows(weight), 32);
      ASSERT_EQ(bytes.size(), size_t(rows * columns * 4));
      for (int64_t n = 0; n < rows; ++n)
        for (int64_t k = 0; k < columns; ++k)
          ASSERT_EQ(f32At(bytes, (n / 32 * columns + k) * 32 + n % 32),
                    expected(weight, n, k))
              << dtype << " " << n << ", " << k;
    }
}

/// The code of row `row` and column `k` of part `part`; never NaN.
static uint8_t codeAt(int64_t part, int64_t row, int64_t k) {
  auto code = static_cast<uint8_t>(part * 91 + row * 37 + k * 101);
  return (code & 0x7f) == 0x7f ? code - 1 : code;
}

/// The scale of block (row, column) of part `part`.
static float scaleAt(int64_t part, int64_t row, int64_t column) {
  return 0.01f + 0.37f * static_cast<float>(part) +
         0.11f * static_cast<float>(row) + 0.013f * static_cast<float>(column);
}

/// The file of a weight of FP8.
static std::vector<FileTensor> fp8Tensors(const WeightSpec &weight) {
  std::vector<FileTensor> tensors;
  int64_t columns = weight.columns();
  for (size_t part = 0; part < weight.parts.size(); ++part) {
    int64_t rows = weight.parts[part].rows;
    std::string codes;
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t k = 0; k < columns; ++k)
        codes.push_back(static_cast<char>(codeAt(part, row, k)));
    std::vector<float> scales;
    for (int64_t row = 0; row < (rows + 127) / 128; ++row)
      for (int64_t k = 0; k < (columns + 127) / 128; ++k)
        scales.push_back(scaleAt(part, row, k));
    const std::string &name = weight.parts[part].label;
    tensors.push_back({name + "_scale_inv",
                       "F32",
                       {(rows + 127) / 128, (columns + 127) / 128},
                       encode(scales, "F32")});
    tensors.push_back({name, "F8_E4M3", {rows, columns}, codes});
  }
  return tensors;
}

/// Loads a weight of FP8 and returns its packed bytes.
static void packFp8(const WeightSpec &weight, std::string &out) {
  TempFolder folder;
  folder.write("model.safetensors", safetensors(fp8Tensors(weight)));
  Manifest needed;
  needed.weights = {weight};
  ThreadPool pool(2);
  auto weights = Weights::load(needed, folder.path(), pool);
  ASSERT_TRUE(weights) << weights.error();
  out.assign(static_cast<const char *>(weights->data(0, 0)),
             packedBytes(weight));
}

static const PackCase fp8Cases[] = {
    {{64}, 96, false},       {{5}, 3, false},
    {{300}, 290, false},     {{136, 7, 130}, 131, false},
    {{160, 160}, 200, true}, {{4096}, 40, false},
    {{1}, 1, false}};

TEST(Weights, PanelE4m3) {
  for (const PackCase &c : fp8Cases) {
    WeightSpec weight = spec(Layout::PanelE4m3, c.rows, c.columns, c.paired);
    std::string bytes;
    packFp8(weight, bytes);
    int64_t deep = roundUp(c.columns, 32), groups = (c.columns + 127) / 128;
    int64_t rows = roundUp(packedRows(weight), 32);
    int64_t panelBytes = groups * 128 + deep * 32;
    ASSERT_EQ(bytes.size(), size_t(rows / 32 * panelBytes));
    for (int64_t n = 0; n < rows; ++n)
      for (int64_t k = 0; k < deep; ++k) {
        int64_t group = n / 32 * panelBytes + k / 128 * (128 + 4 * 1024);
        int64_t pair = k % 128 / 2;
        int64_t at = group + 128 + pair / 2 * 128 + n % 32 / 16 * 64 +
                     n % 16 / 4 * 16 + pair % 2 * 8 + n % 4 * 2 + k % 2;
        PackedRow from = findSourceRow(weight, n);
        bool inside = from.part >= 0 && k < c.columns;
        ASSERT_EQ(static_cast<uint8_t>(bytes[at]),
                  inside ? codeAt(from.part, from.row, k) : 0)
            << n << ", " << k;
        ASSERT_EQ(f32At(bytes.substr(group + n % 32 * 4, 4), 0),
                  from.part < 0 ? 0
                                : scaleAt(from.part, from.row / 128, k / 128))
            << n << ", " << k;
      }
  }
}

TEST(Weights, Fp8IsDecodedForOtherLayouts) {
  for (const PackCase &c : fp8Cases) {
    WeightSpec weight = spec(Layout::PanelF32, c.rows, c.columns, c.paired);
    WeightSpec narrow = spec(Layout::PanelBf16, c.rows, c.columns, c.paired);
    std::string wide, bf16;
    packFp8(weight, wide);
    packFp8(narrow, bf16);
    int64_t deep = roundUp(c.columns, 32);
    for (int64_t n = 0; n < packedRows(weight); ++n)
      for (int64_t k = 0; k < c.columns; ++k) {
        PackedRow from = findSourceRow(weight, n);
        float value = 0;
        if (from.part >= 0)
          value = e4m3Value(codeAt(from.part, from.row, k)) *
                  scaleAt(from.part, from.row / 128, k / 128);
        ASSERT_EQ(f32At(wide, (n / 32 * deep + k) * 32 + n % 32), value);
        uint16_t rounded;
        convertToBf16(Source::F32, &value, 1, &rounded);
        int64_t at = n / 32 * deep * 32 + k / 32 * 1024 + n % 32 / 16 * 512 +
                     k % 32 / 2 * 32 + n % 16 * 2 + k % 2;
        uint16_t found;
        memcpy(&found, bf16.data() + 2 * at, 2);
        ASSERT_EQ(found, rounded) << n << ", " << k;
      }
  }
}

/// Returns the error of loading `tensors` for a weight [200, 130] of `layout`.
static std::string loadFp8(Layout layout,
                           const std::vector<FileTensor> &tensors) {
  TempFolder folder;
  folder.write("model.safetensors", safetensors(tensors));
  Manifest needed;
  needed.weights = {spec(layout, {200}, 130)};
  ThreadPool pool(1);
  return errorOf(Weights::load(needed, folder.path(), pool), folder.path());
}

TEST(WeightCheck, ScalesOfFp8) {
  auto tensors = fp8Tensors(spec(Layout::PanelE4m3, {200}, 130));
  std::string problem = "the weights in 'DIR' do not fit the artifact, 1 "
                        "problem:\n  ";
  for (Layout layout : {Layout::PanelE4m3, Layout::PanelBf16}) {
    EXPECT_EQ(loadFp8(layout, tensors), "no error");
    EXPECT_EQ(loadFp8(layout, without(tensors, "p0_scale_inv")),
              problem + "missing tensor 'p0_scale_inv' of shape [2, 2], the "
                        "scales of 'p0'");
    auto turned = tensors;
    turned[0].shape = {4, 1};
    EXPECT_EQ(loadFp8(layout, turned),
              problem + "expects tensor 'p0_scale_inv' of shape [2, 2], the "
                        "scales of 'p0', found [4, 1]");
    auto narrow = tensors;
    narrow[0].dtype = "I32";
    EXPECT_EQ(loadFp8(layout, narrow),
              problem + "expects tensor 'p0_scale_inv' of type F32, found I32");
  }
}

TEST(WeightCheck, TypeOfFp8) {
  std::vector<FileTensor> tensors = {
      {"p0", "BF16", {200, 130}, std::string(200 * 130 * 2, '\0')}};
  EXPECT_EQ(loadFp8(Layout::PanelE4m3, tensors),
            "the weights in 'DIR' do not fit the artifact, 1 problem:\n"
            "  expects tensor 'p0' of type F8_E4M3, as config.json says that "
            "weights are FP8, found BF16");
  EXPECT_EQ(loadFp8(Layout::PanelBf16, tensors), "no error");
}

TEST(Weights, VectorF32) {
  for (bool paired : {false, true}) {
    WeightSpec weight = spec(Layout::VectorF32, {19, 19}, 1, paired);
    std::string bytes;
    pack(weight, "BF16", bytes);
    ASSERT_EQ(bytes.size(), (paired ? 64u : 48u) * 4);
    for (size_t n = 0; n < bytes.size() / 4; ++n)
      EXPECT_EQ(f32At(bytes, n), expected(weight, n, 0)) << n;
  }
}

TEST(Weights, RawOfAnotherTypeOrInPartsIsConverted) {
  for (const char *dtype : {"BF16", "F16", "F32"}) {
    WeightSpec weight = spec(Layout::Raw, {7, 9}, 5);
    std::string bytes;
    pack(weight, dtype, bytes);
    for (int64_t n = 0; n < 16; ++n)
      for (int64_t k = 0; k < 5; ++k)
        ASSERT_EQ(bf16At(bytes, n * 5 + k), expected(weight, n, k)) << dtype;
  }
}

TEST(Weights, RawOfTheSameTypeIsTheFilesMapping) {
  TempFolder folder, other;
  FakeModel().write(folder, "BF16");
  ThreadPool pool(1);
  auto mapped = Weights::load(manifest(), folder.path(), pool);
  ASSERT_TRUE(mapped);
  EXPECT_EQ(mapped->mappedBytes(), 40 * 12 * 2);
  FakeModel().write(other, "F32");
  auto converted = Weights::load(manifest(), other.path(), pool);
  ASSERT_TRUE(converted);
  EXPECT_EQ(converted->mappedBytes(), 0);
  EXPECT_EQ(memcmp(mapped->data(0, 0), converted->data(0, 0), 40 * 12 * 2), 0);
}

TEST(Weights, LoadingCanBeStopped) {
  TempFolder folder;
  FakeModel().write(folder);
  ThreadPool pool(2);
  int64_t most = 0;
  auto weights = Weights::load(manifest(), folder.path(), pool,
                               [&](int64_t done, int64_t total) {
                                 most = std::max(most, done);
                                 return done < total / 2;
                               });
  EXPECT_EQ(errorOf(weights), "loading was interrupted");
  EXPECT_GT(most, 0);
}

/// Returns the bytes of this process that are in memory.
static int64_t residentBytes() {
  std::ifstream file("/proc/self/statm");
  int64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

TEST(Weights, NothingIsHeldTwice) {
  // 64 MB of F32, packed to 32 MB of bf16.
  constexpr int64_t rows = 16384, columns = 1024, packed = rows * columns * 2;
  TempFolder folder;
  folder.write("model.safetensors",
               safetensors({{"p0",
                             "F32",
                             {rows, columns},
                             std::string(rows * columns * 4, '\1')}}));
  Manifest needed;
  needed.weights = {spec(Layout::PanelBf16, {rows}, columns)};
  ThreadPool pool(2);
  int64_t before = residentBytes(), most = before;
  auto weights =
      Weights::load(needed, folder.path(), pool, [&](int64_t, int64_t) {
        most = std::max(most, residentBytes());
        return true;
      });
  ASSERT_TRUE(weights);
  EXPECT_GE(most - before, packed * 9 / 10);
  EXPECT_LE(most - before, packed + packed / 20 + (4 << 20));
}

TEST(Weights, FileThatShrinksIsAnError) {
  TempFolder folder;
  std::string path = folder.write("f", std::string(100, 'x'));
  auto file = File::open(path);
  ASSERT_EQ(truncate(path.c_str(), 60), 0);
  char bytes[100];
  auto error = file->read(10, 90, bytes);
  ASSERT_TRUE(error);
  EXPECT_EQ(replaceAll(error->message, folder.path(), "DIR"),
            "'DIR/f' ended at byte 60 while it was read");
}

TEST(Pack, EveryF16IsWidenedExactly) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    uint16_t half = static_cast<uint16_t>(bits);
    float value;
    convertToF32(Source::F16, &half, 1, &value);
    int exponent = half >> 10 & 31, fraction = half & 1023;
    float magnitude = exponent == 0
                          ? std::ldexp(fraction, -24)
                          : std::ldexp(1024 + fraction, exponent - 25);
    if (exponent == 31)
      magnitude = fraction ? NAN : INFINITY;
    EXPECT_EQ(std::signbit(value), half >> 15) << bits;
    if (std::isnan(magnitude))
      EXPECT_TRUE(std::isnan(value)) << bits;
    else
      EXPECT_EQ(std::fabs(value), magnitude) << bits;
  }
}

TEST(BlockScales, EveryCodeIsRoundedToItself) {
  for (int code = 0; code < 256; ++code) {
    float value = e4m3Value(static_cast<uint8_t>(code));
    if ((code & 0x7f) == 0x7f)
      EXPECT_TRUE(std::isnan(value)) << code;
    else
      EXPECT_EQ(roundToE4m3(value), code);
  }
  EXPECT_EQ(e4m3Value(0x7e), 448);
  EXPECT_EQ(e4m3Value(0x38), 1);
  EXPECT_EQ(e4m3Value(0x81), std::ldexp(-1.0f, -9));
}

TEST(BlockScales, CodesAreNearestAndTiesEven) {
  for (int code = 0; code < 0x7e; ++code) {
    float low = e4m3Value(static_cast<uint8_t>(code));
    float high = e4m3Value(static_cast<uint8_t>(code + 1));
    float middle = (low + high) / 2;
    EXPECT_EQ(roundToE4m3(middle), code % 2 ? code + 1 : code) << code;
    EXPECT_EQ(roundToE4m3(std::nextafter(middle, 0.0f)), code) << code;
    EXPECT_EQ(roundToE4m3(-std::nextafter(middle, 1e9f)), 0x80 + code + 1);
  }
  EXPECT_EQ(roundToE4m3(1e9f), 0x7e);
  EXPECT_EQ(roundToE4m3(-INFINITY), 0xfe);
  EXPECT_EQ(roundToE4m3(NAN), 0x7f);
}

TEST(Pack, F32IsRoundedToNearestEven) {
  auto round = [](uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    uint16_t result;
    convertToBf16(Source::F32, &value, 1, &result);
    return result;
  };
  EXPECT_EQ(round(0x3f808000), 0x3f80); // A tie goes to even: down
  EXPECT_EQ(round(0x3f818000), 0x3f82); // and up.
  EXPECT_EQ(round(0x3f808001), 0x3f81);
  EXPECT_EQ(round(0x3f807fff), 0x3f80);
  EXPECT_EQ(round(0xbf818000), 0xbf82);
  EXPECT_EQ(round(0x7f7fffff), 0x7f80); // Too large: infinite.
  EXPECT_EQ(round(0x7f800000), 0x7f80);
  EXPECT_EQ(round(0x7f800001), 0x7fc0); // A NaN stays one.
  EXPECT_EQ(round(0xffffffff), 0xffff);
  EXPECT_EQ(round(0x80000001), 0x8000);
}
