//===- CInterfaceTest.cpp - The C interface -------------------------------===//
#include "runtime/ds_runtime.h"
#include "test/unit/runtime/FakeModel.h"

#include <memory>

using namespace ds::test;

extern "C" int64_t argmaxOfPrompt(const char *artifact, const char *weights,
                                  const int32_t *ids, int64_t count);

/// Takes a message and frees it.
static std::string take(char *error) {
  std::string text = error ? error : "no error";
  ds_string_free(error);
  return text;
}

TEST(CInterface, IsUsedFromC) {
  TempFolder folder;
  FakeModel model;
  model.write(folder);
  std::vector<int32_t> ids = randomIds(30, 1);
  std::vector<float> logits = model.run(ids).logits.back();
  int64_t best =
      std::max_element(logits.begin(), logits.end()) - logits.begin();
  EXPECT_EQ(argmaxOfPrompt(fakeArtifact().c_str(), folder.path().c_str(),
                           ids.data(), 30),
            best);
}

TEST(CInterface, ErrorsAreMessages) {
  char *error = nullptr;
  EXPECT_EQ(ds_artifact_open("/none.so", nullptr, &error), nullptr);
  EXPECT_EQ(take(error), "cannot open '/none.so': No such file or directory");
  EXPECT_EQ(ds_artifact_open("/none.so", nullptr, nullptr), nullptr);
  error = nullptr;
  EXPECT_EQ(ds_pool_create(-1, &error), nullptr);
  EXPECT_EQ(take(error),
            "expects the number of threads (-1) to be between 0 and 1024");
  error = nullptr;
  ds_artifact *artifact =
      ds_artifact_open(fakeArtifact().c_str(), "avx2", &error);
  ASSERT_NE(artifact, nullptr);
  EXPECT_EQ(error, nullptr);
  EXPECT_EQ(ds_state_create(artifact, 0, 0, &error), nullptr);
  EXPECT_EQ(take(error),
            "expects the number of pages (0) to be between 1 and 2147483647");
  ds_state *state = ds_state_create(artifact, 4, 0, nullptr);
  ds_sequence *sequence = ds_sequence_create(state);
  error = nullptr;
  EXPECT_EQ(ds_sequence_truncate(sequence, 1, &error), -1);
  EXPECT_EQ(take(error),
            "expects the length to keep (1) to be between 0 and 0");
  ds_sequence_free(sequence);
  ds_state_free(state);
  ds_artifact_free(artifact);
}

TEST(CInterface, FreeTakesNull) {
  ds_artifact_free(nullptr);
  ds_pool_free(nullptr);
  ds_weights_free(nullptr);
  ds_state_free(nullptr);
  ds_sequence_free(nullptr);
  ds_engine_free(nullptr);
  ds_string_free(nullptr);
  EXPECT_EQ(ds_runtime_abi(), DS_RUNTIME_ABI);
  EXPECT_STREQ(ds_runtime_version(), "0.1.0");
}
