"""Checks what dscc counts of the real configurations against published numbers.

    check_published.py --dscc=FILE --configs=DIR

Only config.json of every model is read: test/configs holds the fields that the
papers and the published checkpoints give. Parameters are exact; what papers
print with two or three digits has to round to these. FLOPs of training are those
of a sequence of 4096 tokens, forward and backward, products and attention.

The papers count attention alike for every position (that of the last one) where
`dscc` counts what a causal mask leaves, half of it: (twice the attention).
"""

import argparse
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from tensors import Report  # noqa: E402

# name: (parameters, active ones, active without embedding, bytes of state per
# token in bf16). Parameters: arXiv 2401.02954 (67.4B, 6.9B), 2401.06066 table 7
# (16.4B / 2.8B), 2405.04434 (236B / 21B, 15.7B / 2.4B), 2412.19437 (671B / 37B);
# state: 2405.04434 table 9 (15.6K and 34.6K elements), 2505.09343 (70.272 KB).
# V3.2 is V3 with, in each of 61 layers, an indexer of 64 heads: [8192, 1536],
# [128, 7168], [64, 7168] and a norm with bias, whose key is kept.
INDEXER = 61 * (8192 * 1536 + 128 * 7168 + 64 * 7168 + 2 * 128)
MODELS = {
    "deepseek-llm-7b": (6_910_365_696, 6_910_365_696, 6_490_935_296,
                        30 * 2 * 4096 * 2),
    "deepseek-llm-67b": (67_425_001_472, 67_425_001_472, 66_586_140_672,
                         389_120),
    "deepseek-moe-16b": (16_375_728_128, 2_828_650_496, None, 28 * 2 * 2048 * 2),
    "deepseek-v2-lite": (15_706_484_224, "2.66", "2.45", 2 * 15_552),
    "deepseek-v2": (235_741_434_880, "21.38", "20.85", 2 * 34_560),
    "deepseek-v3": (671_026_419_200, "37.55", "36.63", 70_272),
    "deepseek-v3.2": (671_026_419_200 + INDEXER, None, None,
                      70_272 + 61 * 128 * 2),
}


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\nexited with {done.returncode}: "
                 f"{done.stderr}")
    return done.stdout


def number(text, pattern):
    match = re.search(pattern, text)
    if not match:
        sys.exit(f"expects {pattern} in {text[:2000]!r}")
    return float(match.group(1))


def agrees(value, published):
    """Whether `value` is the integer, or rounds to the digits of "2.66" (B)."""
    if published is None:
        return True
    if isinstance(published, int):
        return int(value) == published
    digits = len(published.split(".")[1])
    return f"{value / 1e9:.{digits}f}" == published


def check_sizes(dscc, configs, report):
    for name, (total, active, without, state) in MODELS.items():
        text = run(dscc, configs / name, "--emit=memory")
        for what, pattern, published in (
                ("parameters", r"parameters\s+(\d+)", total),
                ("active parameters", r"parameters, active\s+(\d+)", active),
                ("active parameters without embedding",
                 r"\.\.\. without embedding\s+(\d+)", without),
                ("bytes of state per token", r"state\s+(\d+) bytes per token",
                 state)):
            found = number(text, pattern)
            report.expect(agrees(found, published),
                          f"{name}: {what} {found:.0f}, published {published}")
    # Experts, attention, projection and norms of layer 61 of V3, without the
    # copies of embedding and head.
    text = run(dscc, configs / "deepseek-v3", "--emit=memory")
    found = number(text, r"\.\.\. of the draft head\s+(\d+)")
    layer = (257 * 3 * 7168 * 2048 + 257 * 7168 - 7168 + 256
             + 7168 * 1536 + 1536 + 1536 * 24576 + 7168 * 576 + 512
             + 512 * 32768 + 16384 * 7168 + 2 * 7168)
    report.expect(found == layer + 2 * 7168 * 7168 + 3 * 7168,
                  f"deepseek-v3: {found:.0f} parameters of the draft head")


def training_flops(text):
    """(GFLOP per token of products, of attention) in training on 4096 tokens."""
    line = r"training on 4096 tokens\s+"
    return (number(text, line + r"([0-9.]+)"),
            number(text, line + r"[0-9.]+\s+([0-9.]+)"))


def check_flops(dscc, configs, report):
    flops = {name: training_flops(run(dscc, configs / name, "--emit=cost"))
             for name in MODELS}

    def expect(what, found, published, tolerance):
        report.expect(abs(found / published - 1) < tolerance,
                      f"{what}: {found:.1f}, published {published}")

    def teraflops(name):
        products, attention = flops[name]
        return 4096 * (products + 2 * attention) / 1e3

    # arXiv 2401.06066, tables 3 and 6, TFLOP for 4096 tokens. The papers'
    # counts leave out the router; experts of the released 16B are 1408 wide and
    # not 0.25 x 8/3 x 2048 (75.8T instead of 74.4T); those of 67B are for
    # 72 L d^2 parameters, as if keys had 64 heads and the inner width were
    # 8/3 x 8192.
    expect("7B, TFLOP", teraflops("deepseek-llm-7b"), 183.5, 0.005)
    expect("16B, TFLOP", teraflops("deepseek-moe-16b"), 75.8, 0.005)
    layer = 2 * 8192 * 8192 + 2 * 8192 * 1024 + 3 * 8192 * 22016
    counted = 6 * 4096 * 95 * (12 * 8192 * 8192 - layer) / 1e12
    expect("67B, TFLOP", teraflops("deepseek-llm-67b") + counted, 2057.5, 0.002)
    # arXiv 2505.09343, table 2: 250 GFLOP per token, with causal attention.
    expect("V3, GFLOP per token", sum(flops["deepseek-v3"]), 250.5, 0.005)
    # What a token of V2 costs less than one of 67B: arXiv 2405.04434 counts
    # active parameters, 21B of 67B.
    report.expect(flops["deepseek-v2"][0] < 0.33 * flops["deepseek-llm-67b"][0],
                  "V2 takes less than a third of the products of 67B")
    # Sparse attention: no more pairs than 2048 for a token, and the indexer's.
    heads, seen = 128 * (512 + 64 + 512), 2048 * (1 - 2047 / 2 / 4096)
    pairs = 3 * 61 * 2 * (heads * seen + 64 * 128 * 4097 / 2) / 1e9
    expect("V3.2, GFLOP per token of attention", flops["deepseek-v3.2"][1],
           pairs, 0.005)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dscc", required=True)
    parser.add_argument("--configs", required=True, type=pathlib.Path)
    args = parser.parse_args()
    report = Report()
    check_sizes(args.dscc, args.configs, report)
    check_flops(args.dscc, args.configs, report)
    report.finish()


if __name__ == "__main__":
    main()
