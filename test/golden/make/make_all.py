"""Writes every tiny checkpoint with its golden outputs.

    python make_all.py OUT_DIR [--seed 1] [--only NAME ...]

Needs torch, numpy and safetensors.
"""

import argparse
import os
import zlib

import torch

from configs import CONFIGS, public
from golden import make_golden
from weights import load_tensors, make_tensors, save_checkpoint


def checkpoint_seed(seed, name):
    return (seed * 1000003 + zlib.crc32(name.encode())) % 2**31


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out_dir")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", help="names of the checkpoints to make")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name, config in CONFIGS.items():
        if args.only and name not in args.only:
            continue
        folder = os.path.join(args.out_dir, name)
        seed = checkpoint_seed(args.seed, name)
        save_checkpoint(folder, config, make_tensors(config, seed), public(config))
        info = make_golden(folder, config, load_tensors(folder), seed)
        alike = [p["bf16_decides_alike"] for p in info["prompts"].values()]
        print(f"{name}: bf16 decides alike {alike}", flush=True)


if __name__ == "__main__":
    main()
