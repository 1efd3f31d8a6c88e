//===- ArtifactTest.cpp - Good and broken artifacts -----------------------===//
#include "runtime/Artifact.h"
#include "test/unit/runtime/FakeModel.h"
#include "test/unit/runtime/Section.h"

using namespace ds::runtime;
using namespace ds::test;

/// Returns the error that opening an artifact of these bytes gives.
static std::string open(const std::string &bytes,
                        ArtifactOptions options = {}) {
  TempFolder folder;
  std::string path = folder.write("m.so", bytes);
  return errorOf(Artifact::open(path, options), folder.path());
}

/// The same of an artifact that has nothing but this manifest.
static std::string openManifest(const std::string &json) {
  return open(elfWithSection(manifestSection(json)));
}

/// The same of the tiny model's manifest with `from` replaced by `to`.
static std::string openChanged(const std::string &from, const std::string &to) {
  std::string text = fakeManifest();
  EXPECT_NE(text.find(from), std::string::npos) << from;
  return openManifest(replaceAll(text, from, to));
}

TEST(Artifact, IsOpened) {
  auto artifact = Artifact::open(fakeArtifact(), {});
  ASSERT_TRUE(artifact) << artifact.error();
  EXPECT_EQ((*artifact)->variant(), "avx2");
  EXPECT_EQ((*artifact)->manifest().model, "fake");
  EXPECT_EQ((*artifact)->manifestText(), fakeManifest());
  EXPECT_EQ((*artifact)->manifest().statePageBytes(), 2 * 2 * 64 * 32 * 4);
}

TEST(Artifact, ThatIsNotThere) {
  EXPECT_EQ(errorOf(Artifact::open("/none.so", {})),
            "cannot open '/none.so': No such file or directory");
  EXPECT_EQ(errorOf(Artifact::open("/", {})), "expects '/' to be a file");
}

TEST(Artifact, ThatIsNoArtifact) {
  std::string notElf =
      "expects 'DIR/m.so' to be an artifact of dscc (an ELF file)";
  EXPECT_EQ(open(""), notElf);
  EXPECT_EQ(open("#!/bin/sh\n"), notElf);
  EXPECT_EQ(open(elfWithSection("x", ".text")),
            "'DIR/m.so' is not an artifact of dscc: it has no section "
            ".ds.manifest");
  std::string object = elfWithSection(manifestSection("{}"));
  object[16] = 1; // ET_REL
  EXPECT_EQ(open(object),
            "expects 'DIR/m.so' to be a shared object for x86-64");
}

TEST(Artifact, EveryPrefixIsAnError) {
  std::string whole = readFile(fakeArtifact());
  for (size_t size = 0; size < whole.size(); size += 97)
    EXPECT_NE(open(whole.substr(0, size)), "no error") << size << " bytes";
  EXPECT_NE(open(whole.substr(0, whole.size() - 1)).find("is truncated"),
            std::string::npos);
}

TEST(Artifact, WhoseSizeIsNotThatOfTheManifest) {
  std::string json = fakeManifest();
  size_t size = elfWithSection(manifestSection(json)).size();
  std::string file = elfWithSection(manifestSection(json, size + 10));
  EXPECT_EQ(open(file), join("expects 'DIR/m.so' to have ", size + 10,
                             " bytes, found ", size, ": it is truncated"));
  file = elfWithSection(manifestSection(json, size - 10));
  EXPECT_EQ(open(file), join("expects 'DIR/m.so' to have ", size - 10,
                             " bytes, found ", size));
}

TEST(Artifact, WhoseManifestIsDamaged) {
  std::string section = manifestSection(fakeManifest());
  std::string changed = section;
  changed[100] ^= 1;
  EXPECT_EQ(open(elfWithSection(changed)),
            "the manifest of 'DIR/m.so' is damaged: its hash does not fit its "
            "text");
  changed = section;
  changed[0] = 'X';
  EXPECT_EQ(open(elfWithSection(changed)),
            "expects the manifest of 'DIR/m.so' to begin with DSMANIF1");
  EXPECT_EQ(open(elfWithSection(section.substr(0, 50))),
            join("expects the manifest of 'DIR/m.so' to have ",
                 section.size() - 32, " bytes, found 18"));
  EXPECT_EQ(openManifest("[]"),
            "the manifest of 'DIR/m.so' is not a JSON object");
}

TEST(Artifact, OfAnotherFormat) {
  EXPECT_EQ(openChanged("\"format\": 1", "\"format\": 3"),
            "expects the manifest of 'DIR/m.so' to have format 2, found 3: "
            "compile the model again");
}

TEST(Artifact, ForAnotherCpu) {
  ArtifactOptions options;
  options.cpu = CpuFeatures();
  EXPECT_EQ(errorOf(Artifact::open(fakeArtifact(), options)),
            "cannot run '" + fakeArtifact() +
                "': no variant of the artifact runs on this CPU: the artifact "
                "has avx2, the CPU runs none");
  options.cpu->avx2 = true;
  options.variant = "amx";
  EXPECT_EQ(errorOf(Artifact::open(fakeArtifact(), options)),
            "cannot run '" + fakeArtifact() +
                "': the artifact has no variant 'amx'; it has avx2");
}

TEST(Artifact, WithoutItsCode) {
  std::string bytes = readFile(fakeArtifact());
  std::string renamed = replaceAll(bytes, std::string("norm.avx2\0", 10),
                                   std::string("norm.AVX2\0", 10));
  ASSERT_NE(bytes, renamed);
  EXPECT_EQ(open(renamed), "'DIR/m.so' lacks the kernel norm.avx2");
  std::string error = openManifest(fakeManifest());
  EXPECT_EQ(error.substr(0, 31), "cannot open 'DIR/m.so' as code:") << error;
}

TEST(Artifact, WhoseManifestIsWrong) {
  auto expect = [](const std::string &from, const std::string &to,
                   const std::string &message) {
    EXPECT_EQ(openChanged(from, to),
              "the manifest of 'DIR/m.so' is wrong: " + message);
  };
  expect("\"compute\": \"f32\"", "\"compute\": \"f16\"",
         "expects compute (\"f16\") to be one of bf16, f32");
  expect("\"vocab_size\": 40", "\"vocab_size\": -1",
         "expects config.vocab_size (-1) to be an integer of 1 to 2147483647");
  expect("\"hidden_size\": 12, ", "",
         "expects config.hidden_size (null) to be present");
  expect("\"id\": 1, \"name\": \"layer.mix\"",
         "\"id\": 2, \"name\": \"layer.mix\"",
         "expects weights[1].id (2) to be 1, its place in the list");
  expect("\"rows\": 7}", "\"rows\": 8}",
         "expects weights[1].parts "
         "([{\"label\":\"layers.{i}.mix_a.weight\",\"...) "
         "to have 12 rows in all");
  expect("gate.weight\", \"rows\": 20}", "gate.weight\", \"rows\": 19}",
         "expects weights[3].parts "
         "([{\"label\":\"layers.{i}.gate.weight\",\"r...) "
         "to have 40 rows in all");
  expect("panel_f32", "panel_f16",
         "expects weights[1].layout (\"panel_f16\") to be one of raw, "
         "vector_f32, panel_bf16, panel_f32, panel_e4m3");
  expect("\"view\": \"key\"", "\"view\": \"lock\"",
         "expects states[0].view (\"lock\") to be one of key, value");
  expect("\"rows\": \"R\", \"row_bytes\": 192",
         "\"rows\": \"R\", \"row_bytes\": 92",
         "expects entry.logits (3) to be a buffer of R rows of f32 logits");
  expect(
      "[{\"symbol\": \"norm\"}]", "[{\"max_rows\": 4, \"symbol\": \"norm\"}]",
      "expects kernels[4].buckets ([{\"max_rows\":4,\"symbol\":\"norm\"}]) to "
      "end in one without max_rows");
  expect("{\"kernel\": 5,", "{\"kernel\": 6,",
         "expects entry.program[3].kernel (6) to be an integer of 0 to 5");
  expect("{\"weight\": 4}", "{\"weight\": 3}",
         "expects entry.program[3].args[1].weight (3) to have the layers that "
         "the program runs");
  expect("{\"layers\": [0, 2], \"carry\"", "{\"layers\": [0, 3], \"carry\"",
         "expects entry.program[1].program[0].args[2].state (0) to have the "
         "layers that the program runs");
  expect("[{\"weight\": 0}, {\"seq\": true}", "[{\"weight\": 0}, {}",
         "expects entry.program[0].args[1] ({}) to have a key buffer, weight, "
         "state, seq, input, gradient, master, moment, hyper or partials");
  expect("\"arg\": 1, \"name\": \"norm\"", "\"arg\": 2, \"name\": \"norm\"",
         "expects entry.program[2].values[0].arg (2) to be an integer of 0 to 1");
  expect("\"arg\": 2, \"name\": \"keys\"", "\"arg\": 1, \"name\": \"keys\"",
         "expects entry.program[1].program[0].values[0] ({\"arg\":1,\"at\":"
         "\"fake.ds:1:2\",\"name\":\"k...) to be an argument in a buffer or "
         "state, outside of windows");
}

TEST(Cpu, BestVariantIsChosen) {
  std::vector<std::string> all = {"avx2", "avx512", "avx512bf16", "amx"};
  CpuFeatures cpu;
  cpu.avx2 = true;
  EXPECT_EQ(*chooseVariant(all, cpu, ""), "avx2");
  cpu.avx512 = true;
  EXPECT_EQ(*chooseVariant(all, cpu, ""), "avx512");
  EXPECT_EQ(*chooseVariant({"avx2", "amx"}, cpu, ""), "avx2");
  cpu.avx512bf16 = true;
  EXPECT_EQ(*chooseVariant(all, cpu, ""), "avx512bf16");
  cpu.amx = true;
  EXPECT_EQ(*chooseVariant(all, cpu, ""), "amx");
  EXPECT_EQ(*chooseVariant(all, cpu, "avx512"), "avx512");
  EXPECT_EQ(cpu.describe(), "avx2, avx512, avx512bf16, amx");
}

TEST(Cpu, VariantsThatCannotRun) {
  CpuFeatures cpu;
  cpu.avx2 = cpu.avx512 = true;
  EXPECT_EQ(errorOf(chooseVariant({"amx", "avx512bf16"}, cpu, "")),
            "no variant of the artifact runs on this CPU: the artifact has "
            "amx, avx512bf16, the CPU runs avx2, avx512");
  EXPECT_EQ(errorOf(chooseVariant({"amx", "avx2"}, cpu, "amx")),
            "this CPU does not run the variant 'amx'; it runs avx2, avx512");
}
