//===- SafetensorsTest.cpp - Good and broken safetensors ------------------===//
#include "runtime/Safetensors.h"
#include "test/unit/runtime/Section.h"
#include "test/unit/runtime/Support.h"

using namespace ds::runtime;
using namespace ds::test;

/// Returns the error that the file `bytes` gives as a checkpoint.
static std::string open(const std::string &bytes) {
  TempFolder folder;
  folder.write("model.safetensors", bytes);
  return errorOf(Checkpoint::open(folder.path()), folder.path());
}

/// Returns the error of a file with one tensor 'a' of this description.
static std::string openTensor(const std::string &description, size_t bytes) {
  return open(
      rawSafetensors("{\"a\":" + description + "}", std::string(bytes, '\0')));
}

TEST(Safetensors, TensorsAreFound) {
  TempFolder folder;
  folder.write(
      "model.safetensors",
      safetensors({{"b", "F32", {2, 3}, encode({1, 2, 3, 4, 5, 6}, "F32")},
                   {"a", "BF16", {2}, encode({1, -2}, "BF16")},
                   {"scalar", "I64", {}, std::string(8, '\1')},
                   {"empty", "F16", {0, 5}, ""}}));
  auto checkpoint = Checkpoint::open(folder.path() + "//");
  ASSERT_TRUE(checkpoint) << checkpoint.error();
  ASSERT_EQ(checkpoint->tensors().size(), 4u);
  const Tensor &a = checkpoint->tensors().at("a");
  EXPECT_EQ(a.dtype, "BF16");
  EXPECT_EQ(a.shape, std::vector<int64_t>{2});
  uint16_t values[2];
  ASSERT_FALSE(checkpoint->file(a).read(a.begin, a.bytes, values));
  EXPECT_EQ(values[0], 0x3f80);
  EXPECT_EQ(values[1], 0xc000);
}

TEST(Safetensors, FileMayBeNamedItself) {
  TempFolder folder;
  std::string path = folder.write("w.safetensors", safetensors({}));
  EXPECT_TRUE(Checkpoint::open(path));
}

TEST(Safetensors, TruncatedFiles) {
  EXPECT_EQ(open("1234567"),
            "'DIR/model.safetensors' is too short for a safetensors file: 7 "
            "bytes");
  EXPECT_EQ(open(rawSafetensors("{}", "").substr(0, 9)),
            "'DIR/model.safetensors' is truncated: expects a header of 2 "
            "bytes, found 1");
  EXPECT_EQ(
      openTensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})", 7),
      "tensor 'a' of 'DIR/model.safetensors' ends at byte 8 of the data, "
      "and the file has 7: it is truncated");
}

TEST(Safetensors, EveryPrefixOfAFileIsAnError) {
  std::string whole = safetensors({{"a", "F32", {2}, std::string(8, '\0')},
                                   {"b", "F32", {1}, std::string(4, '\0')}});
  ASSERT_EQ(open(whole), "no error");
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_NE(open(whole.substr(0, size)), "no error") << size << " bytes";
}

TEST(Safetensors, HeadersThatAreTooLarge) {
  std::string file;
  appendWord(file, ~0ull);
  EXPECT_EQ(open(file + "{}"),
            "expects 'DIR/model.safetensors' to have a header of at most "
            "100000000 bytes, found 18446744073709551615");
}

TEST(Safetensors, HeadersThatAreNotJson) {
  EXPECT_EQ(open(rawSafetensors("{\"a\": }", "")),
            "the header of 'DIR/model.safetensors' is not JSON: error at byte "
            "7");
  EXPECT_EQ(
      open(rawSafetensors("[1]", "")),
      "expects the header of 'DIR/model.safetensors' to be a JSON object");
  EXPECT_EQ(open(rawSafetensors(std::string(4, '\xff'), "")),
            "the header of 'DIR/model.safetensors' is not JSON: error at byte "
            "1");
}

TEST(Safetensors, NamesThatAreThereTwice) {
  std::string tensor = R"({"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  EXPECT_EQ(
      open(rawSafetensors("{\"a\":" + tensor + ",\"a\":" + tensor + "}", "x")),
      "the header of 'DIR/model.safetensors' has the key 'a' twice");
}

TEST(Safetensors, IncompleteDescriptions) {
  std::string expected =
      "expects tensor 'a' of 'DIR/model.safetensors' to have "
      "dtype, shape and data_offsets [begin, end]";
  for (const char *description :
       {"3", "{}", R"({"dtype":"F32","shape":[1]})",
        R"({"dtype":"F32","shape":1,"data_offsets":[0,4]})",
        R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})",
        R"({"dtype":"F32","shape":[1.0],"data_offsets":[0,4]})",
        R"({"dtype":3,"shape":[1],"data_offsets":[0,4]})",
        R"({"dtype":"F32","shape":[1],"data_offsets":[0,4,8]})"})
    EXPECT_EQ(openTensor(description, 4), expected) << description;
}

TEST(Safetensors, UnknownTypes) {
  EXPECT_EQ(openTensor(R"({"dtype":"Q4","shape":[1],"data_offsets":[0,4]})", 4),
            "tensor 'a' of 'DIR/model.safetensors' has the unknown type 'Q4'");
}

TEST(Safetensors, SizesThatDoNotFitTheShape) {
  EXPECT_EQ(
      openTensor(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})", 8),
      "expects tensor 'a' of 'DIR/model.safetensors' of type F32 and "
      "shape [3] to have 12 bytes, found 8");
  EXPECT_EQ(
      openTensor(R"({"dtype":"F32","shape":[4294967296,4294967296],)"
                 R"("data_offsets":[0,0]})",
                 0),
      "tensor 'a' of 'DIR/model.safetensors' has a shape that is too large");
}

TEST(Safetensors, OffsetsOutOfOrder) {
  EXPECT_EQ(
      openTensor(R"({"dtype":"F32","shape":[1],"data_offsets":[4,0]})", 4),
      "expects the offsets of tensor 'a' of 'DIR/model.safetensors' to be "
      "in order, found [4, 0]");
}

TEST(Safetensors, TensorsThatOverlap) {
  EXPECT_EQ(open(rawSafetensors(
                R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
                std::string(12, '\0'))),
            "'DIR/model.safetensors': tensor 'b' overlaps tensor 'a'");
}

TEST(Safetensors, BytesOfNoTensor) {
  EXPECT_EQ(openTensor(R"({"dtype":"U8","shape":[1],"data_offsets":[2,3]})", 3),
            "'DIR/model.safetensors': 2 bytes before tensor 'a' belong to no "
            "tensor");
  EXPECT_EQ(openTensor(R"({"dtype":"U8","shape":[1],"data_offsets":[0,1]})", 9),
            "'DIR/model.safetensors' has 8 bytes after its last tensor");
}

TEST(Safetensors, FoldersWithoutWeights) {
  TempFolder folder;
  EXPECT_EQ(errorOf(Checkpoint::open(folder.path()), folder.path()),
            "'DIR' has neither model.safetensors nor "
            "model.safetensors.index.json");
  EXPECT_EQ(errorOf(Checkpoint::open(folder.path() + "/none"), folder.path()),
            "there is no 'DIR/none'");
}

/// A folder of two shards, tensors 'a' and 'b', with this index.
static std::string openShards(const std::string &index,
                              const std::string &nameOfSecond = "b") {
  TempFolder folder;
  folder.write("1.safetensors", safetensors({{"a", "U8", {1}, "x"}}));
  folder.write("2.safetensors", safetensors({{nameOfSecond, "U8", {1}, "y"}}));
  folder.write("model.safetensors.index.json", index);
  return errorOf(Checkpoint::open(folder.path()), folder.path());
}

TEST(Safetensors, Shards) {
  EXPECT_EQ(
      openShards(R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})"),
      "no error");
}

TEST(Safetensors, IndexThatIsBroken) {
  EXPECT_EQ(openShards("{"),
            "'DIR/model.safetensors.index.json' is not JSON: error at byte 2");
  EXPECT_EQ(openShards("{}"),
            "expects 'DIR/model.safetensors.index.json' to have an object "
            "weight_map");
  EXPECT_EQ(openShards(R"({"weight_map":{"a":"../1.safetensors"}})"),
            "expects 'DIR/model.safetensors.index.json' to give tensor 'a' the "
            "name of a file beside it");
}

TEST(Safetensors, IndexThatDoesNotFitItsShards) {
  EXPECT_EQ(openShards(R"({"weight_map":{"a":"2.safetensors",)"
                       R"("c":"1.safetensors"}})"),
            "the index in 'DIR' does not fit its shards:\n"
            "  tensor 'a' is not in 2.safetensors\n"
            "  tensor 'c' is not in 1.safetensors\n"
            "  tensor 'b' of 'DIR/2.safetensors' is not in the index");
  EXPECT_EQ(openShards(R"({"weight_map":{"a":"3.safetensors"}})"),
            "cannot open 'DIR/3.safetensors': No such file or directory");
}

TEST(Safetensors, TensorInTwoShards) {
  EXPECT_EQ(
      openShards(R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})",
                 "a"),
      "tensor 'a' is in 'DIR/2.safetensors' and in 'DIR/1.safetensors'");
}
