//===- MatmulTest.cpp - The matmul family against a plain product ----------===//
#include "MatmulCase.h"
#include <gtest/gtest.h>

using namespace ds;
using namespace ds::cpu;

namespace {
class Matmul : public testing::TestWithParam<Variant> {};
} // namespace

INSTANTIATE_TEST_SUITE_P(Variants, Matmul,
                         testing::ValuesIn(getRunnableVariants()),
                         [](const testing::TestParamInfo<Variant> &info) {
                           return getIsa(info.param).name.str();
                         });

TEST_P(Matmul, MeetsTheReferenceAtEveryShape) {
  struct Shape {
    int64_t n, k;
  };
  for (Shape shape : {Shape{32, 32}, {96, 64}, {301, 74}, {7, 5}, {33, 1},
                      {64, 2080}, {15, 4099}, {576, 577}})
    for (const char *element : {"bf16", "f32"}) {
      MatmulCase plain(GetParam(), shape.n, shape.k, element, element);
      for (int64_t rows : {1, 2, 3, 5, 7, 12, 13, 16})
        plain.check(rows, "_m16");
      for (int64_t rows : {1, 11, 17, 33, 130, 260})
        plain.check(rows, "");
    }
}

TEST_P(Matmul, MixesElementTypes) {
  for (const char *a : {"bf16", "f32"})
    for (const char *w : {"bf16", "f32"}) {
      MatmulCase mixed(GetParam(), 70, 45, a, w);
      mixed.check(3, "_m16");
      mixed.check(40, "");
    }
}

TEST_P(Matmul, RowsDoNotDependOnM) {
  for (const char *element : {"bf16", "f32"}) {
    MatmulCase plain(GetParam(), 80, 2500, element, element);
    plain.setRows(512);
    std::vector<float> all = plain.run(512, "", 2);
    for (int64_t rows = 1; rows <= 50; ++rows) {
      std::vector<float> some = plain.run(rows, rows <= 16 ? "_m16" : "");
      ASSERT_EQ(0, memcmp(some.data(), all.data(), some.size() * 4)) << rows;
    }
  }
}

TEST_P(Matmul, PairMultipliesGateAndUp) {
  for (int64_t n : {16, 48, 176, 37}) {
    MatmulCase pair(GetParam(), n, 66, "bf16", "bf16", MatmulCase::kPair);
    for (int64_t rows : {1, 9, 16})
      pair.check(rows, "_m16");
    pair.check(50, "");
  }
}

TEST_P(Matmul, ReadsExtras) {
  for (int64_t n : {32, 48, 37}) {
    MatmulCase extras(GetParam(), n, 66, "bf16", "bf16", MatmulCase::kExtras);
    extras.check(1, "_m16");
    extras.check(15, "_m16");
    extras.check(29, "");
  }
}

TEST_P(Matmul, TakesRowsAskedFor) {
  for (const char *element : {"bf16", "f32"}) {
    MatmulCase gathered(GetParam(), 40, 50, element, element,
                        MatmulCase::kGathered);
    for (int64_t rows : {1, 2, 6, 16})
      gathered.check(rows, "_m16");
    gathered.check(35, "");
  }
}

TEST_P(Matmul, LaunchesWithoutRowsDoNothing) {
  MatmulCase plain(GetParam(), 40, 50, "bf16", "bf16");
  plain.run(0, "_m16");
  plain.run(0, "");
}
