"""A training entry changes nothing of the serving one.

    check_entries.py DSCC GOLDEN MODELS FOLDER

Compiles golden checkpoints with and without a training entry: weights, states,
and the program, buffers and kernels of the serving entry are equal.
"""
import json
import pathlib
import struct
import subprocess
import sys


def read_manifest(path):
    data = path.read_bytes()
    at = data.index(b"DSMANIF1")
    (size,) = struct.unpack_from("<Q", data, at + 8)
    return json.loads(data[at + 32:at + 32 + size])


def resolve(manifest, program):
    """Puts kernels in the place of their numbers."""
    steps = []
    for step in program:
        step = dict(step)
        if "kernel" in step:
            step["kernel"] = manifest["kernels"][step["kernel"]]
        if "program" in step:
            step["program"] = resolve(manifest, step["program"])
        steps.append(step)
    return steps


def get_infer(manifest):
    entry = dict(manifest["entries"]["infer"])
    entry["program"] = resolve(manifest, entry["program"])
    return entry


def get_weights(manifest):
    training = ("init", "decay", "frozen")
    return [{key: weight[key] for key in weight if key not in training}
            for weight in manifest["weights"]]


def check(dscc, model, models, folder, compute):
    manifests = []
    for name, options in (("infer", []), ("both", ["--entry=infer,train"])):
        out = folder / f"{model.name}-{compute}-{name}.so"
        subprocess.run([dscc, model, f"--models={models}", "-o", out,
                        f"--compute={compute}", *options], check=True)
        manifests.append(read_manifest(out))
    infer, both = manifests
    assert "train" in both["entries"] and "train" not in infer["entries"]
    for what in (get_infer, get_weights, lambda each: each["states"]):
        assert what(infer) == what(both), f"{model.name}: {what}"
    for weight in both["weights"]:
        matrix = len(weight["shape"]) == 2
        assert weight["init"]["kind"] != "normal" or matrix, weight["name"]
        assert weight["decay"] is matrix, weight["name"]
        assert weight["frozen"] is False, weight["name"]
    assert both["entries"]["train"]["all_targets"] is True


def main():
    dscc, golden, models, folder = map(pathlib.Path, sys.argv[1:5])
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("llama-gqa", "qwen2-odd"):
        for compute in ("bf16", "f32"):
            check(dscc, golden / name, models, folder, compute)


if __name__ == "__main__":
    main()
