"""Records ids, greedy continuations and perplexity of SmolLM2 again.

    python smollm2_golden.py SMOLLM2_DIR smollm2.json

The texts are those of smollm2.json. The model is run in float32 by
`transformers`. Needs torch, transformers and tokenizers.
"""

import argparse
import hashlib
import json
import math
import os

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from weights import write_json

HASHED = ("model.safetensors", "tokenizer.json", "config.json")


def greedy(model, ids, steps):
    """Greedy tokens with the distance between best and second logit."""
    ids, tokens, margins = list(ids), [], []
    for _ in range(steps):
        with torch.no_grad():
            top = model(torch.tensor([ids])).logits[0, -1].topk(2)
        tokens.append(int(top.indices[0]))
        margins.append(round(float(top.values[0] - top.values[1]), 5))
        ids.append(tokens[-1])
    return tokens, margins


def prompt_record(model, tokenizer, text, steps):
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    tokens, margins = greedy(model, ids, steps)
    with torch.no_grad():
        best = model(torch.tensor([ids])).logits[0, -1].topk(10)
    return {
        "text": text,
        "ids": ids,
        "greedy": tokens,
        "greedy_text": tokenizer.decode(tokens, skip_special_tokens=False),
        "greedy_margins": margins,
        "last_logits_top10": [[int(i), round(float(v), 5)] for i, v in
                              zip(best.indices, best.values)],
    }


def perplexity_record(model, tokenizer, text):
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].double()
    log_p = torch.log_softmax(logits[:-1], -1)
    log_p = log_p.gather(1, torch.tensor(ids[1:])[:, None])
    mean = -float(log_p.mean())
    return {
        "text": text,
        "ids": ids,
        "mean_negative_log_likelihood": mean,
        "perplexity": math.exp(mean),
        "note": "mean over tokens 2..n, no token in front",
    }


def file_hash(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("record")
    args = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    tokenizer = Tokenizer.from_file(os.path.join(args.folder, "tokenizer.json"))
    model = AutoModelForCausalLM.from_pretrained(args.folder, dtype=torch.float32)
    model.eval()
    with open(args.record, encoding="utf-8") as file:
        result = json.load(file)
    for name, old in result["prompts"].items():
        result["prompts"][name] = prompt_record(
            model, tokenizer, old["text"], result["steps"])
    result["perplexity"] = perplexity_record(
        model, tokenizer, result["perplexity"]["text"])
    result["sha256"] = {n: file_hash(os.path.join(args.folder, n)) for n in HASHED}
    write_json(args.record, result)


if __name__ == "__main__":
    main()
