"""Checks models whose weights are FP8.

    check_fp8.py decoded  --dsrun=FILE --artifact=SO --other=SO --checkpoint=DIR
    check_fp8.py errors   --dscc=FILE --dsrun=FILE --artifact=SO --checkpoint=DIR
    check_fp8.py train    --dscc=FILE --dsrun=FILE --other=SO --checkpoint=DIR
    check_fp8.py quantise --dscc=FILE --dsrun=FILE --artifact=SO --checkpoint=DIR

decoded:  the artifact, which multiplies FP8 weights, gives the logits of the
          other, which trains and so decodes them when it loads them, to the bit.
errors:   what does not fit an FP8 checkpoint is said, and what to do.
train:    a run that begins with FP8 weights saves a folder that its artifact
          loads and that compiles anew, of weights near those it began with.
quantise: `dsrun quantise` makes a folder that compiles, whose codes are nearest
          and whose errors are those it prints; its logits are near those of the
          artifact, which is of the folder it began with.
"""

import argparse
import json
import math
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from tensors import Difference, Tensors  # noqa: E402

BLOCK = 128


def decode(code):
    """The value of an e4m3 code."""
    exponent, mantissa = code >> 3 & 15, code & 7
    value = (math.ldexp(8 + mantissa, exponent - 10) if exponent
             else math.ldexp(mantissa, -9))
    if code & 0x7f == 0x7f:
        value = math.nan
    return -value if code & 0x80 else value


VALUES = [decode(code) for code in range(256)]


def start(*command):
    return subprocess.run([str(c) for c in command], capture_output=True,
                          text=True)


def run(*command):
    done = start(*command)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\nexited with "
                 f"{done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def expect(good, message):
    if not good:
        sys.exit("check_fp8.py: " + message)


def expect_error(command, *parts):
    done = start(*command)
    expect(done.returncode == 1, f"expects {command} to fail, got "
                                 f"{done.returncode}: {done.stdout}")
    for part in parts:
        expect(part in done.stderr, f"expects '{part}', got: {done.stderr}")


def logits(args, folder, artifact, checkpoint, *options):
    golden = json.loads((args.checkpoint / "golden.json").read_text())
    prompts = {name: p["ids"] + p["greedy"]
               for name, p in golden["prompts"].items()}
    ids, out = folder / "ids.json", folder / "logits.safetensors"
    ids.write_text(json.dumps(prompts))
    run(args.dsrun, "logits", artifact, f"--weights={checkpoint}",
        f"--ids={ids}", f"--out={out}", *options)
    return Tensors(out)


def all_bytes(tensors):
    return pathlib.Path(tensors.path).read_bytes()


def check_decoded(args, folder):
    for options in ([], ["--generated-from=1"], ["--chunk=1"],
                    ["--chunk=20", "--generated-from=30"]):
        first = all_bytes(logits(args, folder, args.artifact, args.checkpoint,
                                 *options))
        second = all_bytes(logits(args, folder, args.other, args.checkpoint,
                                  *options))
        expect(first == second, f"{options}: FP8 weights and what they decode "
                                "to give different logits")


def rewrite(path, change):
    """Changes the header of a safetensors file, {name: entry}, and what follows
    it; lengths of tensors stay."""
    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    header, data = json.loads(raw[8:8 + size]), raw[8 + size:]
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def check_errors(args, folder):
    weight = "model.layers.0.self_attn.o_proj.weight"
    scale = weight + "_scale_inv"

    def loaded(change, *parts):
        copy = folder / "copy"
        shutil.copytree(args.checkpoint, copy)
        rewrite(copy / "model.safetensors", change)
        ids = folder / "ids.json"
        ids.write_text('{"a": [1]}')
        expect_error([args.dsrun, "logits", args.artifact, f"--weights={copy}",
                      f"--ids={ids}", f"--out={folder}/out"], *parts)
        shutil.rmtree(copy)

    def rename(header):
        header["other"] = header.pop(scale)

    def turn(header):
        header[scale]["shape"] = [4, 1]

    def widen(header):
        entry = header[weight]
        entry["dtype"], entry["shape"] = "BF16", [160, 80]

    loaded(rename, f"missing tensor '{scale}' of shape [2, 2], the scales of "
                   f"'{weight}'", "unexpected tensor 'other'")
    loaded(turn, f"expects tensor '{scale}' of shape [2, 2], the scales of "
                 f"'{weight}', found [4, 1]")
    loaded(widen, f"expects tensor '{weight}' of type F8_E4M3, as config.json "
                  "says that weights are FP8, found BF16")

    config = json.loads((args.checkpoint / "config.json").read_text())

    def refused(message, **changes):
        changed = folder / "changed"
        changed.mkdir(exist_ok=True)
        quantisation = {**config["quantization_config"], **changes}
        (changed / "config.json").write_text(
            json.dumps({**config, "quantization_config": quantisation}))
        expect_error([args.dscc, changed, "-o", folder / "m.so"], message)

    refused("expects weight_block_size [128, 128]", weight_block_size=[128, 64])
    refused("expects 'block' not to be empty", weight_block_size=[])
    refused('expects quant_method "fp8"', quant_method="awq")
    refused('expects fmt "e4m3"', fmt="e5m2")


def check_train(args, folder):
    golden = Tensors(args.checkpoint / "golden.safetensors")
    ids = folder / "batch.json"
    sizes = golden.values("train.lengths")
    ids.write_text(json.dumps({"a": list(golden.values("train.ids"))[:sizes[0]]}))
    run(args.dsrun, "train", args.other, f"--weights={args.checkpoint}",
        f"--ids={ids}", "--steps=1", "--lr=1e-4", "--schedule=constant",
        "--save-f32", f"--out={folder}/run")
    saved = folder / "run" / "step-1"
    config = json.loads((saved / "config.json").read_text())
    expect("quantization_config" not in config,
           "expects trained weights not to be called FP8")
    # The first step of AdamW moves what has a gradient by the learning rate.
    name = "model.layers.0.self_attn.o_proj.weight"
    source = Tensors(args.checkpoint / "model.safetensors")
    now = Tensors(saved / "model.safetensors").values(name)
    scales, width = source.rows(name + "_scale_inv"), source.shape(name)[1]
    far = [abs(now[i] - VALUES[code]
               * scales[i // width // BLOCK][i % width // BLOCK])
           for i, code in enumerate(source.values(name))]
    expect(5e-5 < max(far) < 1.5e-4, f"weights moved by up to {max(far)}")
    again = folder / "again.so"
    run(args.dscc, saved, "-o", again)
    bits = all_bytes(logits(args, folder, args.other, saved))
    expect(bits == all_bytes(logits(args, folder, again, saved)),
           "expects a new artifact to give the same logits")


def check_tensor(name, source, found, line):
    """Compares a quantised tensor with its source, BF16, and with the errors
    that were printed."""
    rows, columns = source.shape(name)
    scales, codes = found.rows(name + "_scale_inv"), found.rows(name)
    expect(found.shape(name + "_scale_inv")
           == [-(-rows // BLOCK), -(-columns // BLOCK)], f"shape of {name}")
    bits = source.rows(name)
    most, lost, size, largest = {}, 0.0, 0.0, 0.0
    for i in range(rows):
        for j in range(columns):
            (value,) = struct.unpack("<f", struct.pack("<I", bits[i][j] << 16))
            block = (i // BLOCK, j // BLOCK)
            scale = scales[block[0]][block[1]]
            most[block] = max(most.get(block, 0), abs(value))
            error = abs(VALUES[codes[i][j]] * scale - value)
            # Steps between codes are an eighth of their power of two.
            step = scale * max(2.0 ** -9, 2.0 ** (math.floor(math.log2(
                max(abs(value / scale), 2.0 ** -6))) - 3))
            expect(error <= step * 0.5001, f"{name}[{i}, {j}] is {error} off")
            lost, size = lost + error * error, size + value * value
            largest = max(largest, error)
    for (i, j), value in most.items():
        expect(abs(scales[i][j] * 448 - value) <= 1e-6 * value,
               f"scale {i}, {j} of {name}")
    for printed, exact in zip(line, (math.sqrt(lost / size), largest),
                              strict=True):
        expect(abs(printed - exact) < 2e-3 * exact,
               f"{name}: printed {printed}, expected {exact}")


def check_quantise(args, folder):
    out = folder / "fp8"
    command = [args.dsrun, "quantise", args.checkpoint, f"--out={out}"]
    text = run(*command, "--format=fp8")
    expect(text == run(args.dsrun, "quantise", args.checkpoint, "--threads=1",
                       f"--out={folder}/one", "--format=fp8"),
           "expects the same errors on one thread")
    for file in sorted(out.iterdir()):
        expect(file.read_bytes() == (folder / "one" / file.name).read_bytes(),
               f"expects the same {file.name} on one thread")
    lines = {}
    for line in text.splitlines()[1:-1]:
        relative, largest, name, _ = line.split(maxsplit=3)
        lines[name] = (float(relative), float(largest))
    checked = 0
    for path in sorted(args.checkpoint.glob("*.safetensors")):
        if path.name == "golden.safetensors":
            continue
        source, found = Tensors(path), Tensors(out / path.name)
        for name in source.header:
            if name in lines:
                expect(found.header[name]["dtype"] == "F8_E4M3", name)
                check_tensor(name, source, found, lines[name])
                checked += 1
            else:
                expect(source.values(name) == found.values(name)
                       and "_proj." not in name.replace("eh_proj.", ""), name)
    expect(checked == len(lines) > 0, "expects all tensors to be there")
    artifact = folder / "fp8.so"
    run(args.dscc, out, "-o", artifact, f"--compute={args.compute}")
    before = logits(args, folder, args.artifact, args.checkpoint)
    rows = {name: before.rows(name) for name in before.header}
    after = logits(args, folder, artifact, out)
    far = []
    for name, expected in rows.items():
        for a, b in zip(after.rows(name), expected, strict=True):
            difference = Difference()
            difference.add(a, b)
            far.append(difference.worst_row)
    middle = sorted(far)[len(far) // 2]
    # Other weights also choose other experts; rows of other models are 1.4 off.
    config = json.loads((out / "config.json").read_text())
    limit = 0.4 if "n_routed_experts" in config else 0.1
    expect(0.005 < middle < limit,
           f"expects rows in the middle to be off by less than {limit}, "
           f"found {middle:.3f}")
    print(f"rows in the middle are {middle:.3f} off")
    expect_error([*command, "--format=fp8"], "is there already")
    expect_error([args.dsrun, "quantise", args.checkpoint,
                  f"--out={folder}/x", "--format=int8"],
                 "expects --format (int8) to be fp8")
    expect_error([args.dsrun, "quantise", out, f"--out={folder}/x",
                  "--format=fp8"], "has FP8 weights already")
    expect(not (folder / "x").exists() and not list(folder.glob("*.tmp*")),
           "expects nothing to be left")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("decoded", "errors", "train",
                                         "quantise"))
    parser.add_argument("--dscc")
    parser.add_argument("--dsrun", required=True)
    parser.add_argument("--artifact")
    parser.add_argument("--other")
    parser.add_argument("--compute", default="f32")
    parser.add_argument("--checkpoint", required=True, type=pathlib.Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        globals()[f"check_{args.part}"](args, pathlib.Path(scratch))


if __name__ == "__main__":
    main()
