//===- ModelsTest.cpp - Published configurations are accepted -------------===//
//
// The config.json files of the checkpoints that the texts of models/ serve,
// with the keys that they have on Hugging Face.
//
//===----------------------------------------------------------------------===//
#include "Cases.h"
#include "dialect/Dialect.h"
#include "frontend/Frontend.h"
#include "gtest/gtest.h"

namespace {
struct Published {
  const char *name;
  const char *model; ///< The text that serves it.
  const char *config;
  int64_t layers;
  double parameters; ///< In 10^9, as the model's card says.
};
} // namespace

static const Published kPublished[] = {
    {"DeepSeekLlm7b", "llama",
     R"({"architectures": ["LlamaForCausalLM"], "bos_token_id": 100000,
  "eos_token_id": 100001, "hidden_act": "silu", "hidden_size": 4096,
  "initializer_range": 0.02, "intermediate_size": 11008,
  "max_position_embeddings": 4096, "model_type": "llama",
  "num_attention_heads": 32, "num_hidden_layers": 30,
  "num_key_value_heads": 32, "pretraining_tp": 1, "rms_norm_eps": 1e-06,
  "rope_scaling": null, "rope_theta": 10000.0, "tie_word_embeddings": false,
  "torch_dtype": "bfloat16", "transformers_version": "4.33.1",
  "use_cache": true, "vocab_size": 102400})",
     30, 6.910365696},
    {"DeepSeekLlm67b", "llama",
     R"({"architectures": ["LlamaForCausalLM"], "attention_bias": false,
  "bos_token_id": 100000, "eos_token_id": 100001, "hidden_act": "silu",
  "hidden_size": 8192, "initializer_range": 0.02, "intermediate_size": 22016,
  "max_position_embeddings": 4096, "model_type": "llama",
  "num_attention_heads": 64, "num_hidden_layers": 95,
  "num_key_value_heads": 8, "pretraining_tp": 1, "rms_norm_eps": 1e-06,
  "rope_scaling": null, "rope_theta": 10000.0, "tie_word_embeddings": false,
  "torch_dtype": "bfloat16", "transformers_version": "4.33.1",
  "use_cache": true, "vocab_size": 102400})",
     95, 67.425001472},
    {"R1DistillLlama8b", "llama",
     R"({"architectures": ["LlamaForCausalLM"], "attention_bias": false,
  "attention_dropout": 0.0, "bos_token_id": 128000, "eos_token_id": 128001,
  "head_dim": 128, "hidden_act": "silu", "hidden_size": 4096,
  "initializer_range": 0.02, "intermediate_size": 14336,
  "max_position_embeddings": 131072, "mlp_bias": false,
  "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 32,
  "num_key_value_heads": 8, "pretraining_tp": 1, "rms_norm_eps": 1e-05,
  "rope_scaling": {"factor": 8.0, "high_freq_factor": 4.0,
    "low_freq_factor": 1.0, "original_max_position_embeddings": 8192,
    "rope_type": "llama3"},
  "rope_theta": 500000.0, "tie_word_embeddings": false,
  "torch_dtype": "bfloat16", "transformers_version": "4.43.0.dev0",
  "use_cache": true, "vocab_size": 128256})",
     32, 8.030261248},
    {"R1DistillQwen1b", "qwen2",
     R"({"architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0,
  "bos_token_id": 151643, "eos_token_id": 151643, "hidden_act": "silu",
  "hidden_size": 1536, "initializer_range": 0.02, "intermediate_size": 8960,
  "max_position_embeddings": 131072, "max_window_layers": 21,
  "model_type": "qwen2", "num_attention_heads": 12, "num_hidden_layers": 28,
  "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_theta": 10000,
  "sliding_window": 4096, "tie_word_embeddings": false,
  "torch_dtype": "bfloat16", "transformers_version": "4.44.0",
  "use_cache": true, "use_mrope": false, "use_sliding_window": false,
  "vocab_size": 151936})",
     28, 1.777088000},
    {"SmolLm2", "llama",
     R"({"architectures": ["LlamaForCausalLM"], "attention_bias": false,
  "attention_dropout": 0.0, "bos_token_id": 1, "eos_token_id": 2,
  "hidden_act": "silu", "hidden_size": 576, "initializer_range": 0.041666,
  "intermediate_size": 1536, "is_llama_config": true,
  "max_position_embeddings": 8192, "mlp_bias": false, "model_type": "llama",
  "num_attention_heads": 9, "num_hidden_layers": 30,
  "num_key_value_heads": 3, "pad_token_id": 2, "pretraining_tp": 1,
  "rms_norm_eps": 1e-05, "rope_interleaved": false, "rope_scaling": null,
  "rope_theta": 100000, "tie_word_embeddings": true,
  "torch_dtype": "bfloat16", "transformers.js_config": {"kv_cache_dtype":
  {"q4f16": "float16", "fp16": "float16"}}, "transformers_version": "4.42.3",
  "use_cache": true, "vocab_size": 49152})",
     30, 0.134515008},
    // The spelling of newer releases: dtype, rope_parameters, several ends.
    {"NewKeys", "llama",
     R"({"architectures": ["LlamaForCausalLM"], "attention_bias": true,
  "bos_token_id": 1, "dtype": "bfloat16", "eos_token_id": [2, 3],
  "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 176,
  "max_position_embeddings": 4096, "mlp_bias": true, "model_type": "llama",
  "num_attention_heads": 4, "num_hidden_layers": 2,
  "num_key_value_heads": null, "pad_token_id": null, "rms_norm_eps": 1e-05,
  "rope_parameters": {"rope_type": "linear", "factor": 2, "rope_theta": 5e5},
  "tie_word_embeddings": false, "vocab_size": 256})",
     2, 0.0},
};

namespace {
class Models : public testing::TestWithParam<Published> {};
} // namespace

static int64_t countParameters(mlir::ModuleOp module) {
  int64_t sum = 0;
  for (ds::WeightOp weight : module.getOps<ds::WeightOp>()) {
    auto type = mlir::cast<mlir::RankedTensorType>(weight.getType());
    std::optional<llvm::ArrayRef<int64_t>> layers = weight.getLayers();
    sum += type.getNumElements() * (layers ? (*layers)[1] : 1);
  }
  return sum;
}

TEST_P(Models, Compile) {
  const Published &test = GetParam();
  std::string spec = std::string(DS_SOURCE_DIR "/models/") + test.model + ".ds";
  std::string errors;
  llvm::raw_string_ostream os(errors);
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module = ds::compileModel(
      context, {spec, readText(spec)}, {"config.json", test.config}, false, os);
  ASSERT_TRUE(module) << errors;
  std::vector<ds::RunOp> runs;
  module->walk([&](ds::RunOp run) { runs.push_back(run); });
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(static_cast<int64_t>(runs[0].getCount()), test.layers);
  if (test.parameters > 0) {
    EXPECT_EQ(countParameters(*module),
              static_cast<int64_t>(test.parameters * 1e9 + 0.5));
  }
}

INSTANTIATE_TEST_SUITE_P(Published, Models, testing::ValuesIn(kPublished),
                         [](const auto &info) {
                           return std::string(info.param.name);
                         });

TEST(FindSpec, ChoosesByModelType) {
  std::string errors;
  llvm::raw_string_ostream os(errors);
  EXPECT_EQ(ds::findSpec(DS_SOURCE_DIR "/models", "qwen2", os),
            DS_SOURCE_DIR "/models/qwen2.ds");
  EXPECT_EQ(errors, "");
  EXPECT_FALSE(ds::findSpec(DS_SOURCE_DIR "/models", "mamba", os));
  EXPECT_EQ(errors, "error: no .ds file in " DS_SOURCE_DIR
                    "/models serves model_type \"mamba\"; they serve "
                    "\"deepseek\", \"deepseek_v2\", \"deepseek_v3\", "
                    "\"deepseek_v32\", \"llama\", \"nsa\", \"qwen2\"\n");
}
