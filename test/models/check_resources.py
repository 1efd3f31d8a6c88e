"""Checks time and memory against their bars.

    check_resources.py compile --dscc=FILE --folder=DIR
    check_resources.py large --dscc=FILE --configs=DIR
    check_resources.py memory --dscc=FILE --dsrun=FILE --folder=DIR
                              --record=smollm2.json
    check_resources.py training --dscc=FILE --dsrun=FILE --folder=DIR

compile  SmolLM2 in 3 s, the configurations of DeepSeek LLM 7B and 67B in 5 s
large    DeepSeek-V3 in 10 s and V2-Lite in 5 s, in 4 GiB; the time is that of the
         CPU, so that other work on the machine does not count
memory   the peak of a run within 10 % of the plan of --emit=memory, and at most
         1.05 times weights and state plus 64 MiB
training the same for steps of training, with all and with little kept
Exit code 77 says that the folder of SmolLM2 could not be made.
"""

import argparse
import json
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from tensors import Report  # noqa: E402

SKIPPED = 77
MIB = 1 << 20
STEP_TOKENS = 512
NEW_TOKENS = 8
# name: (width, inner width, layers, heads, key heads)
DEEPSEEK = {"7b": (4096, 11008, 30, 32, 32), "67b": (8192, 22016, 95, 64, 8)}


# Runs a command and prints the peak of its memory in KiB.
PEAK = """import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"""


def deepseek_config(width, inner, layers, heads, key_heads):
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama",
        "bos_token_id": 100000, "eos_token_id": 100001, "hidden_act": "silu",
        "hidden_size": width, "intermediate_size": inner,
        "max_position_embeddings": 4096, "num_attention_heads": heads,
        "num_hidden_layers": layers, "num_key_value_heads": key_heads,
        "rms_norm_eps": 1e-6, "rope_scaling": None, "rope_theta": 10000.0,
        "tie_word_embeddings": False, "torch_dtype": "bfloat16",
        "use_cache": True, "vocab_size": 102400}


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\nexited with {done.returncode}: "
                 f"{done.stderr}")
    return done.stdout


def check_compile(args, report, scratch):
    models = {"smollm2": (args.folder, 3.0)}
    for name, numbers in DEEPSEEK.items():
        folder = scratch / name
        folder.mkdir()
        config = deepseek_config(*numbers)
        (folder / "config.json").write_text(json.dumps(config))
        models["deepseek " + name] = (folder, 5.0)
    for name, (folder, limit) in models.items():
        start = time.monotonic()
        run(args.dscc, folder, "-o", scratch / "model.so")
        seconds = time.monotonic() - start
        report.expect(seconds < limit, f"{name}: compiled in {seconds:.2f} s")


def check_large(args, report, scratch):
    for name, limit in (("deepseek-v2-lite", 5.0), ("deepseek-v3", 10.0)):
        begin = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.monotonic()
        run(args.dscc, pathlib.Path(args.configs) / name, "-o",
            scratch / "model.so")
        end = resource.getrusage(resource.RUSAGE_CHILDREN)
        wall = time.monotonic() - start
        cpu = (end.ru_utime + end.ru_stime) - (begin.ru_utime + begin.ru_stime)
        # The peak is that of the largest process so far.
        peak = end.ru_maxrss * 1024
        report.expect(cpu < limit, f"{name}: {cpu:.2f} s of CPU, {wall:.2f} s")
        report.expect(peak < 4096 * MIB,
                      f"{name}: peak {peak / MIB:.0f} MiB")


def planned_bytes(text, tokens):
    """(weights, state of `tokens`, arena) as --emit=memory says."""
    def find(pattern):
        match = re.search(pattern, text)
        if not match:
            sys.exit(f"expects {pattern} in the plan, found {text!r}")
        return [float(n) for n in match.groups()]
    (weights,) = find(r"weights, packed\s+([0-9.]+) MiB")
    (per_token,) = find(r"state\s+([0-9]+) bytes per token")
    by_tokens, by_rows, rest = find(r"arena of infer\s+([0-9]+) T \+ ([0-9]+) R \+ ([0-9]+)")
    arena = STEP_TOKENS * by_tokens + by_rows + rest
    return weights * MIB, tokens * per_token, arena


def check_memory(args, report, scratch):
    record = json.loads(pathlib.Path(args.record).read_text(encoding="utf-8"))
    ids = record["prompts"]["long"]["ids"]
    # The peak is that of the largest process so far: the compiler is smaller.
    for compute in ("bf16", "f32"):
        artifact = scratch / "model.so"
        run(args.dscc, args.folder, "-o", artifact, f"--compute={compute}")
        text = run(args.dscc, args.folder, f"--compute={compute}", "--emit=memory")
        run(args.dsrun, "generate", artifact, f"--weights={args.folder}",
            "--ids", ",".join(map(str, ids)), "--max-tokens", NEW_TOKENS,
            "--ignore-eos")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        weights, state, arena = planned_bytes(text, len(ids) + NEW_TOKENS)
        plan = weights + state + arena
        report.expect(abs(peak / plan - 1) < 0.1,
                      f"{compute}: peak {peak / MIB:.1f} MiB, plan "
                      f"{plan / MIB:.1f} MiB")
        bar = 1.05 * (weights + state) + 64 * MIB
        report.expect(peak < bar, f"{compute}: the bar is {bar / MIB:.1f} MiB")


def training_plan(text, tokens):
    """Bytes of a training step of `tokens` rows as --emit=memory says."""
    def find(pattern):
        match = re.search(pattern, text)
        if not match:
            sys.exit(f"expects {pattern} in the plan, found {text!r}")
        return [float(n) for n in match.groups()]
    (weights,) = find(r"weights, packed\s+([0-9.]+) MiB")
    (copies,) = find(r"masters, moments, grads\s+([0-9.]+) MiB")
    (per_token,) = find(r"state\s+([0-9]+) bytes per token")
    by_tokens, by_rows, rest = find(
        r"arena of train\s+([0-9]+) T \+ ([0-9]+) R \+ ([0-9]+)")
    return ((weights + copies) * MIB + tokens * (per_token + by_tokens + by_rows)
            + rest)


def check_training(args, report, scratch):
    config = (pathlib.Path(__file__).resolve().parents[2] / "models" / "configs"
              / "llama-10m")
    ids = scratch / "ids.json"
    ids.write_text(json.dumps({f"s{i}": [(7 * i + j) % 2000 for j in range(513)]
                               for i in range(8)}))
    # The largest first: the peak is that of the largest process so far.
    for keep in ([], ["--keep-activations=50000"]):
        artifact = scratch / "model.so"
        text = run(args.dscc, config, "--entry=infer,train", *keep,
                   "--emit=memory")
        run(args.dscc, config, "-o", artifact, "--entry=infer,train", *keep)
        plan = training_plan(text, 4096)
        done = run("/usr/bin/env", "python3", "-c", PEAK, args.dsrun, "train",
                   artifact, "--init=random", f"--ids={ids}", "--steps=2")
        peak = int(done.split()[-1]) * 1024
        report.expect(abs(peak / plan - 1) < 0.1,
                      f"training {keep}: peak {peak / MIB:.1f} MiB, plan "
                      f"{plan / MIB:.1f} MiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("compile", "large", "memory", "training"))
    for name in ("dscc", "dsrun", "folder", "record", "configs"):
        parser.add_argument(f"--{name}")
    args = parser.parse_args()
    if args.part != "large" and not (
            pathlib.Path(args.folder) / "model.safetensors").exists():
        print(f"skipped: {args.folder} could not be made, see models.smollm2.folder")
        sys.exit(SKIPPED)
    report = Report()
    with tempfile.TemporaryDirectory() as scratch:
        check = {"compile": check_compile, "large": check_large,
                 "memory": check_memory,
                 "training": check_training}[args.part]
        check(args, report, pathlib.Path(scratch))
    report.finish()


if __name__ == "__main__":
    main()
