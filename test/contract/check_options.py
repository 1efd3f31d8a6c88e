"""Expects `dsrun logits` to write the same bytes however it makes them.

    check_options.py --dsrun=FILE --artifact=SO --checkpoint=DIR [--seed=N]

Prompts of random tokens are run whole and alone, then with random mixes of the
options that change chunks, batches, threads and pages.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

LENGTHS = (1, 2, 16, 33, 64, 65, 130, 200, 600)
MIXES = 12


def make_prompts(checkpoint, draw):
    config = json.loads((checkpoint / "config.json").read_text())
    return {f"n{length}": [draw.randrange(config["vocab_size"])
                           for _ in range(length)] for length in LENGTHS}


def random_options(draw):
    options = [f"--threads={draw.choice((1, 2))}"]
    if draw.random() < 0.7:
        options.append(f"--chunk={draw.choice((1, 2, 3, 17, 32, 63, 64, 100, 513))}")
    if draw.random() < 0.5:
        options.append(f"--step-tokens={draw.choice((16, 48, 256))}")
    for flag in ("--batch", "--permute-pages", "--poison-free-pages"):
        if draw.random() < 0.6:
            options.append(flag)
    return options


def run(args, scratch, options):
    """Returns the bytes that `dsrun logits` writes."""
    out = scratch / "out.safetensors"
    command = [args.dsrun, "logits", args.artifact,
               f"--weights={args.checkpoint}", f"--ids={scratch / 'ids.json'}",
               f"--out={out}", "--hidden", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\nexited with {done.returncode}: "
                 f"{done.stderr}")
    return out.read_bytes()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dsrun", required=True)
    parser.add_argument("--artifact", required=True)
    parser.add_argument("--checkpoint", required=True, type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    draw, failures = random.Random(args.seed), 0
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        prompts = make_prompts(args.checkpoint, draw)
        (scratch / "ids.json").write_text(json.dumps(prompts))
        expected = run(args, scratch, ["--threads=1", "--step-tokens=1024"])
        for _ in range(MIXES):
            options = random_options(draw)
            same = run(args, scratch, options) == expected
            print(("ok      " if same else "FAILED  ") + " ".join(options))
            failures += not same
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
