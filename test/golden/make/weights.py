"""Random, well-scaled weights and the Hugging Face files that hold them.

The scales keep every layer's contribution near the size of the residual
stream, make attention decisive and give logits a spread near 3.
"""

import json
import math
import os

import torch
from safetensors.torch import load_file, save_file


class Plan:
    """Draws named tensors in order from one generator."""

    def __init__(self, seed):
        self.rng = torch.Generator().manual_seed(seed)
        self.tensors = {}

    def normal(self, name, shape, std, mean=0.0):
        value = torch.randn(shape, generator=self.rng, dtype=torch.float64)
        self.tensors[name] = (value * std + mean).to(torch.bfloat16)

    def linear(self, name, rows, cols, gain=1.0, bias=False):
        self.normal(name + ".weight", (rows, cols), gain / math.sqrt(cols))
        if bias:
            self.normal(name + ".bias", (rows,), 0.3)

    def norm(self, name, size):
        self.normal(name + ".weight", (size,), 0.1, mean=1.0)


def plan_attention(p, c, name):
    width, heads = c["hidden_size"], c["num_attention_heads"]
    groups = c["num_key_value_heads"]
    dim = c.get("head_dim") or width // heads
    bias = c["model_type"] == "qwen2"
    p.linear(name + "q_proj", heads * dim, width, 1.4, bias)
    p.linear(name + "k_proj", groups * dim, width, 1.4, bias)
    p.linear(name + "v_proj", groups * dim, width, 1.0, bias)
    p.linear(name + "o_proj", width, heads * dim, 1.5)


def plan_mlp(p, c, name):
    width, inner = c["hidden_size"], c["intermediate_size"]
    p.linear(name + "gate_proj", inner, width, 1.5)
    p.linear(name + "up_proj", inner, width, 1.5)
    p.linear(name + "down_proj", width, inner, 1.0)


def plan_layer(p, c, layer):
    name, width = f"model.layers.{layer}.", c["hidden_size"]
    p.norm(name + "input_layernorm", width)
    plan_attention(p, c, name + "self_attn.")
    p.norm(name + "post_attention_layernorm", width)
    plan_mlp(p, c, name + "mlp.")


def make_tensors(config, seed):
    """Every weight of the checkpoint, from the seed alone."""
    p, c = Plan(seed), config
    width, tied = c["hidden_size"], c["tie_word_embeddings"]
    std = 3.0 / math.sqrt(width) if tied else 1.0
    p.normal("model.embed_tokens.weight", (c["vocab_size"], width), std)
    for layer in range(c["num_hidden_layers"]):
        plan_layer(p, c, layer)
    p.norm("model.norm", width)
    if not tied:
        p.linear("lm_head", c["vocab_size"], width, 3.0)
    return p.tensors


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, ensure_ascii=False)
        file.write("\n")


def save_checkpoint(folder, config, tensors, public_config):
    """Writes config.json, generation_config.json and model.safetensors."""
    os.makedirs(folder, exist_ok=True)
    write_json(os.path.join(folder, "config.json"), public_config)
    generation = {
        "_from_model_config": True,
        "bos_token_id": config["bos_token_id"],
        "eos_token_id": config["eos_token_id"],
        "do_sample": False,
    }
    write_json(os.path.join(folder, "generation_config.json"), generation)
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    path = os.path.join(folder, "model.safetensors")
    save_file(tensors, path, {"format": "pt"})


def load_tensors(folder):
    return load_file(os.path.join(folder, "model.safetensors"))
