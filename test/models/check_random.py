"""Compiles models of random shapes and compares them with their references.

    check_random.py --dscc=FILE --dsrun=FILE [--count=200] [--seed=1]
                    [--jobs=N] [--only=N [--keep=DIR]]

Every configuration is of a random architecture: groups, experts, picks, heads,
odd widths, any number of dense layers, with and without shared experts and
compressed queries. It is compiled in f32 and bf16 by turns, with `--reference`
too, and has to pass `dsrun verify` on random weights. Then its logits, hidden
states and choices of routers have to be equal to the bit however the tokens are
cut into steps: alone, all prompts in a batch, chunks of a random size, one or two
threads, pages in random order; some tokens having the role of generated ones.

A configuration depends on the seed and its number alone: `--only=N` does one
again, `--keep=DIR` leaves its files there.
"""

import argparse
import array
import concurrent.futures
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from tensors import Report  # noqa: E402

MAGIC = b"DSMANIF1"


# Configurations ------------------------------------------------------------


def common(rng):
    return {
        "vocab_size": rng.randint(30, 200), "hidden_size": rng.randint(9, 110),
        "intermediate_size": rng.randint(5, 150),
        "num_hidden_layers": rng.randint(1, 4), "rms_norm_eps": 1e-6,
        "hidden_act": "silu", "rope_theta": rng.choice([1e4, 5e5]),
        "max_position_embeddings": rng.choice([128, 333, 1024]),
        "tie_word_embeddings": False, "bos_token_id": 0, "eos_token_id": 1}


def experts(rng, config, groups):
    """Routed experts, in `groups` groups of at least two."""
    count = groups * rng.randint(2, 6) if groups > 1 else rng.randint(1, 17)
    kept = rng.randint(1, groups)
    config.update({
        "n_routed_experts": count,
        "num_experts_per_tok": rng.randint(1, min(6, kept * (count // groups))),
        "n_shared_experts": rng.choice([None, 0, 1, 2, 3]),
        "moe_intermediate_size": rng.randint(3, 70),
        "first_k_dense_replace": rng.randint(0, config["num_hidden_layers"]),
        "norm_topk_prob": rng.random() < 0.5})
    return kept


def grouped_heads(rng, config):
    keys = rng.randint(1, 3)
    config["num_attention_heads"] = keys * rng.randint(1, 4)
    config["num_key_value_heads"] = keys


def llama(rng):
    config = dict(common(rng), model_type="llama", head_dim=2 * rng.randint(1, 24),
                  attention_bias=rng.random() < 0.3, mlp_bias=rng.random() < 0.3)
    grouped_heads(rng, config)
    config["tie_word_embeddings"] = rng.random() < 0.3
    return config


def qwen2(rng):
    config = dict(common(rng), model_type="qwen2")
    grouped_heads(rng, config)
    config["hidden_size"] = config["num_attention_heads"] * 2 * rng.randint(1, 14)
    config["tie_word_embeddings"] = rng.random() < 0.5
    return config


def deepseek(rng):
    config = dict(common(rng), model_type="deepseek")
    grouped_heads(rng, config)
    config["hidden_size"] = config["num_attention_heads"] * 2 * rng.randint(1, 14)
    experts(rng, config, 1)
    return config


def latent(rng, config):
    heads = rng.randint(1, 7)
    config.update({
        "num_attention_heads": heads, "num_key_value_heads": heads,
        "q_lora_rank": rng.choice([None, rng.randint(3, 70)]),
        "kv_lora_rank": rng.randint(3, 70),
        "qk_nope_head_dim": rng.randint(1, 40),
        "qk_rope_head_dim": 2 * rng.randint(1, 17),
        "v_head_dim": rng.randint(1, 50)})
    if rng.random() < 0.5:
        config["rope_scaling"] = {
            "type": "yarn", "factor": rng.choice([4, 40]), "beta_fast": 32,
            "beta_slow": 1, "mscale": rng.choice([0.707, 1.0]),
            "mscale_all_dim": rng.choice([0.707, 1.0]),
            "original_max_position_embeddings": 64}


def deepseek_v2(rng):
    config = dict(common(rng), model_type="deepseek_v2")
    latent(rng, config)
    groups = rng.choice([1, 1, 2, 3, 4])
    kept = experts(rng, config, groups)
    method = "greedy" if groups == 1 else "group_limited_greedy"
    config.update({"n_group": groups, "topk_group": kept, "topk_method": method,
                   "scoring_func": "softmax",
                   "routed_scaling_factor": rng.choice([1.0, 16.0])})
    return config


def deepseek_v3(rng):
    config = dict(common(rng), model_type="deepseek_v3")
    latent(rng, config)
    groups = rng.choice([1, 2, 3, 4])
    kept = experts(rng, config, groups)
    config.update({"n_group": groups, "topk_group": kept,
                   "topk_method": "noaux_tc", "scoring_func": "sigmoid",
                   "routed_scaling_factor": rng.choice([1.0, 2.5])})
    return config


def deepseek_v32(rng):
    config = dict(deepseek_v3(rng), model_type="deepseek_v32")
    rope = config["qk_rope_head_dim"]
    config.update({"q_lora_rank": rng.randint(3, 70),
                   "index_n_heads": rng.randint(1, 6),
                   "index_head_dim": rope + rng.randint(0, 20),
                   "index_topk": rng.randint(1, 60)})
    return config


def nsa(rng):
    config = dict(common(rng), model_type="nsa")
    grouped_heads(rng, config)
    experts(rng, config, 1)
    stride = rng.choice([2, 4, 8, 16])
    entry = stride * rng.choice([1, 2])
    initial, local = rng.randint(1, 2), rng.randint(1, 2)
    config.update({
        "qk_head_dim": 2 * rng.randint(1, 20), "v_head_dim": rng.randint(1, 40),
        "nsa_compress_block": entry, "nsa_compress_stride": stride,
        "nsa_compress_hidden": rng.randint(3, 40),
        "nsa_select_block": max(16, entry * rng.choice([1, 2])),
        "nsa_num_selected_blocks": initial + local + rng.randint(1, 4),
        "nsa_num_initial_blocks": initial, "nsa_num_local_blocks": local,
        "nsa_window": rng.randint(1, 70)})
    return config


FAMILIES = (llama, qwen2, deepseek, nsa, nsa, deepseek_v2, deepseek_v2, deepseek_v3,
            deepseek_v3, deepseek_v32, deepseek_v32)


# Weights -------------------------------------------------------------------


def read_manifest(path):
    data = path.read_bytes()
    at = data.index(MAGIC)
    (size,) = struct.unpack("<Q", data[at + 8:at + 16])
    return json.loads(data[at + 32:at + 32 + size])


def tensor_shapes(manifest):
    """Names and shapes of the tensors of a checkpoint."""
    shapes = {}
    for weight in manifest["weights"]:
        first, count = weight.get("layers", [0, 1])
        rest = weight["shape"][2 if "stack" in weight else 1:]
        for layer in range(first, first + count):
            for expert in range(weight.get("stack", 1)):
                for part in weight["parts"]:
                    name = part["label"].replace("{i}", str(layer)).replace(
                        "{e}", str(expert))
                    shapes[name] = [part["rows"], *rest]
    return shapes


def write_weights(path, shapes, rng):
    """Random bf16: vectors around 1, or 0 for biases, matrices that keep the
    size of what they multiply."""
    header, blobs, at = {}, [], 0
    for name, shape in shapes.items():
        count = 1
        for size in shape:
            count *= size
        if len(shape) == 1:
            center = 0.0 if "bias" in name else 1.0
            values = [rng.gauss(center, 0.2) for _ in range(count)]
        else:
            scale = shape[-1] ** -0.5
            values = [rng.gauss(0.0, scale) for _ in range(count)]
        halves = array.array("H", array.array("f", values).tobytes())[1::2]
        blobs.append(halves.tobytes())
        header[name] = {"dtype": "BF16", "shape": shape,
                        "data_offsets": [at, at + 2 * count]}
        at += 2 * count
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


# Checks --------------------------------------------------------------------


class Failure(Exception):
    pass


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"{' '.join(map(str, command))}\nexited with "
                      f"{done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def make_prompts(rng, config, path):
    limit = config["max_position_embeddings"]
    prompts = {}
    most = rng.randint(60, 220)
    if rng.random() < 0.2:  # More than one split of attention.
        most = rng.randint(520, 620)
    for i, length in enumerate((rng.randint(2, 20), most)):
        prompts[f"p{i}"] = [rng.randrange(config["vocab_size"])
                            for _ in range(min(length, limit))]
    path.write_text(json.dumps(prompts))
    return prompts


def check_plans(args, rng, folder, prompts, routers):
    """Equal bits, however the tokens are cut into steps."""
    roles = []
    if rng.random() < 0.7:
        roles = [f"--generated-from={rng.randint(1, len(prompts['p0']))}"]
    plans = [["--threads=1"],
             [f"--chunk={rng.randint(1, 40)}", "--threads=2"],
             ["--batch", f"--chunk={rng.randint(1, 70)}", "--permute-pages",
              "--poison-free-pages"]]
    if roles:
        plans.append(["--chunk=1", "--batch"])
    first = None
    for i, plan in enumerate(plans):
        out = folder / f"logits-{i}.safetensors"
        run(args.dsrun, "logits", folder / "fast.so", f"--weights={folder}",
            f"--ids={folder / 'ids.json'}", f"--out={out}", "--hidden",
            *(["--routing"] if routers else []), *roles, *plan)
        data = out.read_bytes()
        if first is None:
            first = data
        elif data != first:
            raise Failure(f"other bits with {' '.join(roles + plan)}")


def check_config(args, number, folder):
    rng = random.Random(f"{args.seed}/{number}")
    config = rng.choice(FAMILIES)(rng)
    compute = ("f32", "bf16")[number % 2]
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    prompts = make_prompts(rng, config, folder / "ids.json")
    for name, extra in (("fast", []), ("reference", ["--reference"])):
        run(args.dscc, folder, "-o", folder / f"{name}.so",
            f"--compute={compute}", *extra)
    manifest = read_manifest(folder / "reference.so")
    write_weights(folder / "model.safetensors", tensor_shapes(manifest), rng)
    text = run(args.dsrun, "verify", folder / "fast.so", folder / "reference.so",
               f"--weights={folder}", f"--ids={folder / 'ids.json'}")
    routers = ("n_routed_experts" in config and
               config["first_k_dense_replace"] < config["num_hidden_layers"])
    check_plans(args, rng, folder, prompts, routers)
    return f"{config['model_type']} {compute}: {text.strip().splitlines()[-1]}"


def try_config(args, number):
    """Returns whether a configuration is as it should be, and what to say."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.keep or pathlib.Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return True, f"{number}: {check_config(args, number, folder)}"
        except Failure as failure:
            config = (folder / "config.json").read_text()
            return False, (f"{number}: {failure}\n{config}\nagain with "
                           f"--seed={args.seed} --only={number}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dscc", required=True)
    parser.add_argument("--dsrun", required=True)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--only", type=int)
    parser.add_argument("--keep", type=pathlib.Path)
    args = parser.parse_args()
    if args.keep and args.only is None:
        parser.error("--keep goes with --only")
    report = Report()
    start = time.monotonic()
    numbers = range(args.count) if args.only is None else [args.only]
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for good, message in pool.map(lambda n: try_config(args, n), numbers):
            report.expect(good, message)
    print(f"{len(numbers)} configurations in {time.monotonic() - start:.0f} s")
    report.finish()


if __name__ == "__main__":
    main()
