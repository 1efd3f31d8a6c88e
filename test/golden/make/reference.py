"""A plain reference of dense Llama and Qwen2 decoders.

`Model` computes logits for a packed batch of token sequences from a Hugging
Face style config (a dict) and a dict of tensors. It is written from the
published equations, one function per equation, without a key/value cache and
without fused kernels.

Shapes: T tokens of the packed batch, S tokens of one sequence, D model width,
H heads, G key/value heads. Attention never crosses a sequence and positions
restart at 0 in every sequence.

Arithmetic is float64 unless asked otherwise. `round_to=torch.bfloat16` rounds
every activation that a bf16 implementation would write to memory.
"""

import math

import torch
import torch.nn.functional as F


def llama3_frequencies(freq, s):
    """Stretches the slow rotations, as `rope_type` llama3 says."""
    original = s["original_max_position_embeddings"]
    low, high = s["low_freq_factor"], s["high_freq_factor"]
    smooth = (original * freq / (2 * math.pi) - low) / (high - low)
    smooth = smooth.clamp(0, 1)
    return (1 - smooth) * freq / s["factor"] + smooth * freq


def rope_frequencies(config, dim):
    """The dim/2 angles per position."""
    theta, scaling = config["rope_theta"], config.get("rope_scaling")
    freq = theta ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    if scaling is None:
        return freq
    if scaling["rope_type"] != "llama3":
        raise ValueError(f"unknown rope type {scaling['rope_type']}")
    return llama3_frequencies(freq, scaling)


def rotate(x, positions, frequencies):
    """Rotates the last axis of x [S, H, R]; the partner of i is i + R/2."""
    angle = positions.double()[:, None, None] * frequencies
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


def causal_mask(size):
    """[S, S], True where the query (row) may see the key (column)."""
    return torch.ones(size, size, dtype=torch.bool).tril()


def sequence_bounds(lengths):
    ends = torch.tensor(lengths).cumsum(0).tolist()
    return [(end - size, end) for end, size in zip(ends, lengths)]


def next_token_loss(logits, ids, lengths):
    """Mean cross entropy of the next token, inside sequences."""
    ids, rows = torch.as_tensor(ids), []
    for begin, end in sequence_bounds(lengths):
        rows.append(torch.arange(begin, end - 1))
    rows = torch.cat(rows)
    return F.cross_entropy(logits[rows], ids[rows + 1])


class Model:
    def __init__(self, config, tensors, dtype=torch.float64, round_to=None):
        self.config = config
        self.round_to = round_to
        self.params = {name: value.to(dtype) for name, value in tensors.items()}

    def rnd(self, x):
        """Rounds an activation to the storage type of the mode, if any."""
        return x if self.round_to is None else x.to(self.round_to).to(x.dtype)

    def linear(self, x, name):
        y = x @ self.params[name + ".weight"].T
        if name + ".bias" in self.params:
            y = y + self.params[name + ".bias"]
        return self.rnd(y)

    def rms_norm(self, x, name):
        """y = g * x / sqrt(mean(x^2) + eps)."""
        eps = self.config["rms_norm_eps"]
        y = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)
        return self.rnd(y * self.params[name + ".weight"])

    def swiglu(self, x, name):
        """down( silu(gate x) * up x )"""
        gate = self.linear(x, name + "gate_proj")
        up = self.linear(x, name + "up_proj")
        return self.linear(self.rnd(F.silu(gate) * up), name + "down_proj")

    def softmax_attention(self, q, k, v, scale):
        """q [S, H, d], k [S, H, d], v [S, H, d]."""
        scores = torch.einsum("shd,jhd->shj", q, k) * scale
        mask = causal_mask(q.shape[0])
        scores = scores.masked_fill(~mask[:, None, :], -math.inf)
        weights = self.rnd(torch.softmax(scores, -1))
        return self.rnd(torch.einsum("shj,jhv->shv", weights, v))

    def attend(self, x, name):
        """Grouped-query attention of one sequence [S, D]."""
        c = self.config
        size, heads = x.shape[0], c["num_attention_heads"]
        groups = c["num_key_value_heads"]
        dim = c.get("head_dim") or c["hidden_size"] // heads
        freq, pos = rope_frequencies(c, dim), torch.arange(size)
        q = self.linear(x, name + "q_proj").view(size, heads, dim)
        k = self.linear(x, name + "k_proj").view(size, groups, dim)
        v = self.linear(x, name + "v_proj").view(size, groups, dim)
        q, k = self.rnd(rotate(q, pos, freq)), self.rnd(rotate(k, pos, freq))
        k = k.repeat_interleave(heads // groups, 1)
        v = v.repeat_interleave(heads // groups, 1)
        out = self.softmax_attention(q, k, v, dim**-0.5)
        return self.linear(out.flatten(1), name + "o_proj")

    def block(self, x, layer, bounds, trace):
        name = f"model.layers.{layer}."
        h = self.rms_norm(x, name + "input_layernorm")
        h = torch.cat([self.attend(h[a:b], name + "self_attn.") for a, b in bounds])
        x = self.rnd(x + h)
        g = self.rms_norm(x, name + "post_attention_layernorm")
        g = self.swiglu(g, name + "mlp.")
        if trace is not None:
            trace[f"layer.{layer}.attention"] = h.detach()
            trace[f"layer.{layer}.feed_forward"] = g.detach()
        return self.rnd(x + g)

    def hidden(self, ids, lengths, trace=None):
        """The hidden states after the final norm, [T, D]."""
        bounds = sequence_bounds(lengths)
        states = [self.params["model.embed_tokens.weight"][ids]]
        for layer in range(self.config["num_hidden_layers"]):
            states.append(self.block(states[-1], layer, bounds, trace))
        final = self.rms_norm(states[-1], "model.norm")
        if trace is not None:
            for i, state in enumerate(states):
                trace[f"hidden.{i}"] = state.detach()
            trace["hidden.final"] = final.detach()
        return final

    def logits(self, ids, lengths=None, trace=None):
        """Logits [T, vocabulary] of a packed batch of token ids [T]."""
        ids = torch.as_tensor(ids)
        x = self.hidden(ids, lengths or [len(ids)], trace)
        tied = self.config["tie_word_embeddings"]
        head = "model.embed_tokens.weight" if tied else "lm_head.weight"
        return x @ self.params[head].T
