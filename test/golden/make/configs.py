"""The tiny configurations, one per architecture.

Every entry is the config.json that is written, apart from keys that start with
an underscore, which steer the generator:
  _prompts  lengths of the prompts
  _train    lengths of the sequences of the training batch
"""

LLAMA = {
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "hidden_act": "silu",
    "initializer_range": 0.02,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "vocab_size": 256,
    "_prompts": [1, 7, 33, 96],
    "_train": [17, 29, 24],
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 176,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 4096,
    "rope_scaling": None,
    "mlp_bias": False,
}

QWEN2 = {
    **LLAMA,
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "num_key_value_heads": 2,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": True,
    "use_sliding_window": False,
    "sliding_window": 4096,
    "max_window_layers": 3,
    "vocab_size": 320,
}

CONFIGS = {
    "llama-mha": LLAMA,
    "llama-gqa": {**LLAMA, "num_attention_heads": 8, "num_key_value_heads": 2},
    "qwen2-distill": QWEN2,
    "llama3-distill": {
        **LLAMA,
        "num_key_value_heads": 2,
        "rope_theta": 500000.0,
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-5,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    },
    # Nothing is a multiple of a vector, a tile or a panel.
    "llama-odd": {
        **LLAMA,
        "hidden_size": 74,
        "head_dim": 26,
        "num_attention_heads": 7,
        "num_key_value_heads": 7,
        "intermediate_size": 133,
        "num_hidden_layers": 2,
        "vocab_size": 301,
    },
    "qwen2-odd": {
        **QWEN2,
        "hidden_size": 90,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "intermediate_size": 141,
        "num_hidden_layers": 2,
        "max_window_layers": 2,
        "vocab_size": 301,
    },
}


def public(config):
    """The part of a configuration that goes into config.json."""
    return {k: v for k, v in config.items() if not k.startswith("_")}
