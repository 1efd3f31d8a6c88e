"""Computes golden.safetensors and golden.json of one checkpoint folder."""

import math
import os

import torch
from safetensors.torch import save_file

from prompts import LOGIT_MARGIN, Chooser
from reference import Model, next_token_loss
from weights import write_json

ADAMW = {"lr": 1e-3, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1,
         "clip": 1.0, "steps": 3}
TRACED_LENGTH = 33
# Stored in full after the optimiser steps: one of every kind, last layer.
SAMPLED = ("input_layernorm.weight", "o_proj.weight", "q_proj.weight",
           "mlp.down_proj.weight", "q_proj.bias")


def f32(x):
    return x.detach().to(torch.float32).contiguous()


def relative_difference(value, reference):
    value, reference = value.double(), reference.double()
    rows = (value - reference).norm(dim=-1) / reference.norm(dim=-1)
    largest = (value - reference).abs().max() / reference.abs().max()
    return {"max_over_max": float(largest), "worst_row_l2": float(rows.max())}


def token_log_probs(logits, ids):
    """log p(token i+1 | tokens up to i), [S - 1]."""
    log_p = torch.log_softmax(logits[:-1], -1)
    return log_p.gather(1, torch.as_tensor(ids)[1:, None])[:, 0]


def require_gradients(model):
    for name, value in model.params.items():
        model.params[name] = value.clone().requires_grad_(True)
    return dict(model.params)


class Golden:
    def __init__(self, config, tensors, seed):
        self.config, self.tensors = config, tensors
        self.chooser = Chooser(config, tensors, seed)
        self.out = {}
        self.info = {"seed": seed, "margin_limits": {"logit": LOGIT_MARGIN}}

    def model(self, dtype=torch.float64, round_to=None):
        return Model(self.config, self.tensors, dtype, round_to)

    def inference(self):
        self.info["prompts"] = {}
        for length in self.config["_prompts"]:
            name = f"p{length}"
            found = self.chooser.prompt_with_continuation(length)
            ids, more, margins, agree = found
            trace = {}
            with torch.no_grad():
                logits = self.chooser.exact.logits(ids, trace=trace)
            self.out[f"{name}.ids"] = torch.tensor(ids, dtype=torch.int32)
            self.out[f"{name}.logits"] = f32(logits)
            if length > 1:
                self.out[f"{name}.log_probs"] = f32(token_log_probs(logits, ids))
            if length == TRACED_LENGTH:
                for key, value in trace.items():
                    self.out[f"trace.{key}"] = f32(value)
            self.info["prompts"][name] = {
                "ids": ids,
                "greedy": more,
                "greedy_margins": [round(m, 6) for m in margins],
                "bf16_decides_alike": agree,
                "difference": self.differences(ids, logits),
            }

    def differences(self, ids, logits):
        """Distance of float32 and of bf16-activation runs to float64."""
        with torch.no_grad():
            single = self.model(torch.float32).logits(ids)
            rounded = self.chooser.coarse.logits(ids)
        return {
            "float32": relative_difference(single, logits),
            "bf16_activations": relative_difference(rounded, logits),
        }

    def training(self):
        lengths = self.config["_train"]
        ids = [t for n in lengths for t in self.chooser.prompt(n)]
        model = self.model()
        leaves = require_gradients(model)
        logits = model.logits(ids, lengths)
        loss = next_token_loss(logits, ids, lengths)
        self.out["train.ids"] = torch.tensor(ids, dtype=torch.int32)
        self.out["train.lengths"] = torch.tensor(lengths, dtype=torch.int32)
        self.out["train.logits"] = f32(logits)
        grads = torch.autograd.grad(loss, leaves.values())
        for name, grad in zip(leaves, grads):
            self.out[f"grad.{name}"] = f32(grad)
        norm = math.sqrt(sum(float(g.norm()) ** 2 for g in grads))
        self.info["train"] = {
            "lengths": lengths,
            "losses": {"cross_entropy": loss.item()},
            "grad": {
                "global_norm": norm,
                **self.gradient_distances(ids, lengths),
            },
            "adamw": self.optimiser(ids, lengths),
        }

    def gradient_distances(self, ids, lengths):
        """How far float32 and bf16-activation gradients are from float64."""
        runs = {"float32": None, "bf16_activations": torch.bfloat16}
        found = {}
        for label, round_to in runs.items():
            model = self.model(torch.float32, round_to)
            leaves = require_gradients(model)
            loss = next_token_loss(model.logits(ids, lengths), ids, lengths)
            grads = torch.autograd.grad(loss, leaves.values())
            total, error, worst = 0.0, 0.0, 0.0
            for name, grad in zip(leaves, grads):
                exact = self.out[f"grad.{name}"]
                size, away = float(exact.norm()), float((grad - exact).norm())
                total, error = total + size**2, error + away**2
                worst = max(worst, away / max(size, 1e-12))
            found[f"{label}_difference"] = {
                "all_parameters_l2": math.sqrt(error / total),
                "worst_parameter_l2": worst,
            }
        return found

    def trained(self, ids, lengths, dtype):
        """AdamW steps on one batch: parameters, step records, last loss."""
        model = self.model(dtype)
        leaves = require_gradients(model)
        optimiser = torch.optim.AdamW(
            leaves.values(), lr=ADAMW["lr"], betas=tuple(ADAMW["betas"]),
            eps=ADAMW["eps"], weight_decay=ADAMW["weight_decay"])
        steps = []
        for _ in range(ADAMW["steps"]):
            optimiser.zero_grad()
            loss = next_token_loss(model.logits(ids, lengths), ids, lengths)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(leaves.values(), ADAMW["clip"])
            steps.append({"loss": loss.item(), "gradient_norm": float(norm)})
            optimiser.step()
        with torch.no_grad():
            loss = next_token_loss(model.logits(ids, lengths), ids, lengths)
        return leaves, steps, loss.item()

    def optimiser(self, ids, lengths):
        leaves, steps, final = self.trained(ids, lengths, torch.float64)
        single, _, single_final = self.trained(ids, lengths, torch.float32)
        start = self.model().params
        moved, error, largest = 0.0, 0.0, 0.0
        for name, value in leaves.items():
            away = (single[name].double() - value).detach()
            moved += float((value.detach() - start[name]).norm()) ** 2
            error += float(away.norm()) ** 2
            largest = max(largest, float(away.abs().max()))
        last = {s: n for n in leaves for s in SAMPLED if n.endswith(s)}
        for name in last.values():
            self.out[f"adamw.{name}"] = f32(leaves[name])
        return {
            "settings": ADAMW,
            "steps": steps,
            "loss_after": final,
            "norms": {n: float(v.detach().norm()) for n, v in leaves.items()},
            "float32_difference": {
                "loss_after": abs(single_final - final),
                "update_l2": math.sqrt(error / moved),
                "largest_absolute": largest,
            },
        }

    def write(self, folder):
        save_file(self.out, os.path.join(folder, "golden.safetensors"))
        write_json(os.path.join(folder, "golden.json"), self.info)


def make_golden(folder, config, tensors, seed):
    golden = Golden(config, tensors, seed)
    golden.inference()
    golden.training()
    golden.write(folder)
    return golden.info
