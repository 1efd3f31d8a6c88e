"""Checks training with dsrun on a golden checkpoint.

    check_train.py golden   --dsrun=FILE --artifact=SO --checkpoint=DIR
    check_train.py draft    --dsrun=FILE --artifact=SO --checkpoint=DIR
    check_train.py undrafted --dsrun=FILE --artifact=SO --checkpoint=DIR
    check_train.py contract --dsrun=FILE --artifact=SO --checkpoint=DIR
    check_train.py resume   --dsrun=FILE --artifact=SO --checkpoint=DIR
    check_train.py learns   --dsrun=FILE --artifact=SO --checkpoint=CONFIG

golden:   loss, log-probabilities and gradients of the packed batch, whatever
          tokens have the role of generated ones, and what three steps of AdamW
          make of the weights, in f32. Of a model with a draft head the loss has
          a share of its cross-entropy.
draft:    the same of the draft head's loss and gradients alone.
undrafted: an objective without the draft head's loss leaves its layer as it is,
          to the bit, and trains all others.
contract: log-probabilities that serving gives, decoding token by token, in
          chunks or in a batch, equal those of a training step to the bit, as
          prompts and as what was generated; the tokens are drawn at
          temperature 1.
learns:   a model of 10 M parameters, from random weights, on the text that ships
          with it: the loss falls from that of a uniform guess to that of
          knowing how often each token comes.
resume:   a run that is killed at random moments and goes on ends with the bytes
          of one that never was, on one thread and on two.
"""

import argparse
import array
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from tensors import Tensors  # noqa: E402

GRADIENT_LIMIT = 5e-5
ADAMW_LIMIT = 1e-4


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True,
                          text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\nexited with "
                 f"{done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def distance(found, expected):
    """l2 of the difference over l2 of the expected."""
    error = sum((a - b) ** 2 for a, b in zip(found, expected, strict=True))
    return (error / sum(b * b for b in expected)) ** 0.5


def packed_batch(golden):
    ids, begin, batch = golden.values("train.ids"), 0, {}
    for i, size in enumerate(golden.values("train.lengths")):
        batch[f"s{i}"] = list(ids[begin:begin + size])
        begin += size
    return batch


def expect(good, message):
    if not good:
        sys.exit("check_train.py: " + message)


def role_patterns(batch):
    """Batches whose tokens have roles: all but the first generated, and turns
    of random lengths."""
    rng = random.Random(1)
    yield {name: {"ids": ids, "generated": [0] + [1] * (len(ids) - 1)}
           for name, ids in batch.items()}
    mixed = {}
    for name, ids in batch.items():
        role, flags = rng.randrange(2), []
        for _ in ids:
            role ^= rng.random() < 0.1
            flags.append(int(role))
        mixed[name] = {"ids": ids, "generated": flags}
    yield mixed


def scaled(values, by):
    return [by * value for value in values]


def expected_gradients(golden, own_weight, draft_weight):
    """{name: gradient} of a sum of the cross-entropy and that of the head."""
    gradients = {}
    for prefix, weight in (("grad.", own_weight), ("grad_mtp.", draft_weight)):
        for name in golden.header:
            if not weight or not name.startswith(prefix):
                continue
            own = scaled(golden.values(name), weight)
            name = "grad." + name[len(prefix):]
            before = gradients.get(name)
            gradients[name] = own if before is None else [
                a + b for a, b in zip(before, own, strict=True)]
    return gradients


def check_gradients(args, folder, golden, info, batch, own, draft):
    """Checks a step that minimises `own` x the cross-entropy + `draft` x that of
    the draft head."""
    ids = folder / "batch.json"
    ids.write_text(json.dumps(batch))
    run(args.dsrun, "grad", args.artifact, f"--weights={args.checkpoint}",
        f"--ids={ids}", f"--out={folder}/grads.safetensors")
    found = Tensors(folder / "grads.safetensors")
    loss, losses = found.values("loss")[0], info["losses"]
    expected = own * losses["cross_entropy"] + draft * losses.get("mtp", 0)
    expect(abs(loss - expected) < 2e-6 * expected,
           f"loss {loss}, expected {expected}")
    gradients, worst = expected_gradients(golden, own, draft), 0
    for name, gradient in gradients.items():
        source = name if name in golden else "grad_mtp." + name[len("grad."):]
        expect(name in found and found.shape(name) == golden.shape(source),
               f"expects {name} of shape {golden.shape(source)}")
        far = distance(found.values(name), gradient)
        expect(far < GRADIENT_LIMIT, f"{name} is {far:.2e} off")
        worst = max(worst, far)
    # Experts that no token chose have a gradient of zero.
    extra = [n for n in found.header if n.startswith("grad.")
             and n not in gradients and any(found.values(n))]
    expect(not extra, f"unexpected {extra}")
    print(f"gradients {worst:.2e}")


def check_golden(args, folder, alone=False):
    golden = Tensors(args.checkpoint / "golden.safetensors")
    info = json.loads((args.checkpoint / "golden.json").read_text())["train"]
    batch = packed_batch(golden)
    config = json.loads((args.checkpoint / "config.json").read_text())
    # Of FP8 weights the gradients of the draft head are not there.
    drafts = any(name.startswith("grad_mtp.") for name in golden.header)
    own, draft = 1, info["adamw"]["mtp_weight"] if drafts else 0
    if alone:
        own, draft = 0, 1
    if "kv_lora_rank" in config:
        for roles in role_patterns(batch):
            check_gradients(args, folder, golden, info, roles, own, draft)
    check_gradients(args, folder, golden, info, batch, own, draft)
    if alone or drafts != ("mtp" in info["losses"]):
        return  # The optimiser's steps minimise another loss.

    settings = info["adamw"]["settings"]
    text = run(args.dsrun, "train", args.artifact,
               f"--weights={args.checkpoint}", f"--ids={folder}/batch.json",
               "--steps=3", "--schedule=constant", "--decay-all",
               f"--lr={settings['lr']}", "--clip=1", "--save-f32",
               f"--out={folder}/run")
    expect(text == "", f"expects silence in a pipe, got {text}")
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    for line, step in zip(map(json.loads, lines), info["adamw"]["steps"],
                          strict=True):
        for key, name in (("loss", "loss"), ("grad_norm", "gradient_norm")):
            value = step[name]
            expect(abs(line[key] - value) < 1e-4 * abs(value),
                   f"step {line['step']}: {key} {line[key]}, expected {value}")
    weights = Tensors(folder / "run" / "step-3" / "model.safetensors")
    names = {name for shard in args.checkpoint.glob("model*.safetensors")
             for name in Tensors(shard).header}
    expect(set(weights.header) == names, "saved tensors differ by name: "
           f"{sorted(set(weights.header) ^ names)}")
    for name in golden.header:
        if name.startswith("adamw."):
            far = distance(weights.values(name[6:]), golden.values(name))
            expect(far < ADAMW_LIMIT, f"{name} is {far:.2e} off")


def check_draft(args, folder):
    check_golden(args, folder, alone=True)


def widen(words):
    """The f32 whose upper halves are these words of bf16."""
    return array.array("f", array.array(
        "I", (word << 16 for word in words)).tobytes())


def check_undrafted(args, folder):
    ids = folder / "batch.json"
    golden = Tensors(args.checkpoint / "golden.safetensors")
    ids.write_text(json.dumps(packed_batch(golden)))
    run(args.dsrun, "train", args.artifact, f"--weights={args.checkpoint}",
        f"--ids={ids}", "--steps=2", "--lr=1e-2", "--decay-all",
        f"--out={folder}/run", "--save-every=2")
    after = Tensors(folder / "run" / "step-2" / "model.safetensors")
    layers = json.loads(
        (args.checkpoint / "config.json").read_text())["num_hidden_layers"]
    shared = ("embed_tokens.weight", "shared_head.head.weight",
              "e_score_correction_bias")
    for shard in sorted(args.checkpoint.glob("model*.safetensors")):
        before = Tensors(shard)
        for name in before.header:
            if name.endswith(shared):
                continue
            same = widen(before.values(name)) == after.values(name)
            drafts = name.startswith(f"model.layers.{layers}.")
            expect(same == drafts, f"{name} "
                   + ("changed" if drafts else "did not change"))


def check_contract(args, folder):
    golden = json.loads((args.checkpoint / "golden.json").read_text())
    sequences, begins = {}, {}
    for i, (name, prompt) in enumerate(golden["prompts"].items()):
        start = prompt["ids"][:40]
        text = run(args.dsrun, "generate", args.artifact,
                   f"--weights={args.checkpoint}", "--temperature=1",
                   f"--seed={i}", "--max-tokens=24", "--ids",
                   ",".join(map(str, start)))
        drawn = [int(word) for word in re.findall(r"\d+", text)]
        expect(len(drawn) > 0, f"no tokens drawn: {text}")
        sequences[name], begins[name] = start + drawn, len(start)
    drawn = {name: {"ids": ids, "generated": [int(i >= begins[name])
                                              for i in range(len(ids))]}
             for name, ids in sequences.items()}
    check_equal(args, folder, sequences, sequences, [])
    for name, ids in sequences.items():
        check_equal(args, folder, {name: ids}, {name: drawn[name]},
                    [f"--generated-from={begins[name]}"])
    # Together as one by one.
    whole = train_log_probs(args, folder, drawn)
    parts = b"".join(train_log_probs(args, folder, {name: drawn[name]})
                     for name in drawn)
    expect(whole == parts, "log-probabilities depend on the batch")


def train_log_probs(args, folder, batch):
    ids = folder / "batch.json"
    ids.write_text(json.dumps(batch))
    run(args.dsrun, "grad", args.artifact, f"--weights={args.checkpoint}",
        f"--ids={ids}", f"--out={folder}/train.safetensors")
    return Tensors(folder / "train.safetensors").values("log_probs").tobytes()


def check_equal(args, folder, sequences, batch, roles):
    """Compares what serving gives for sequences with a step on a batch."""
    trained = train_log_probs(args, folder, batch)
    ids = folder / "ids.json"
    ids.write_text(json.dumps(sequences))
    for options in (["--chunk=1"], ["--chunk=7", "--batch"], ["--batch"],
                    ["--chunk=1", "--batch", "--permute-pages",
                     "--poison-free-pages"], ["--threads=1"]):
        out = folder / "served.safetensors"
        run(args.dsrun, "logits", args.artifact, f"--weights={args.checkpoint}",
            f"--ids={ids}", f"--out={out}", "--log-probs", *roles, *options)
        served = Tensors(out)
        flat = b"".join(served.values(name + ".log_probs").tobytes()
                        for name in sequences)
        expect(flat == trained,
               f"log-probabilities of {roles + options} differ from training's")


def check_learns(args, folder):
    text = args.checkpoint.parents[1] / "text" / "shakespeare.txt"
    run(args.dsrun, "train", args.artifact, "--init=random",
        f"--tokenizer={args.checkpoint}", f"--data={text}",
        f"--out={folder}/run", "--steps=24", "--batch-tokens=1024",
        "--lr=2e-3", "--warmup=4", "--seed=1", "--save-every=24")
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    last = sum(losses[-4:]) / 4
    print(f"loss {losses[0]:.3f}, at the end {last:.3f}")
    # ln(2048) is 7.62; the distribution of tokens alone gives about 6.3.
    expect(7.5 < losses[0] < 8.0, f"begins at {losses[0]}")
    expect(last < 6.6, f"ends at {last}")
    text = run(args.dsrun, "generate", args.artifact,
               f"--weights={folder}/run/step-24", "--prompt=ROMEO:",
               "--max-tokens=24", "--temperature=0.8", "--seed=2")
    expect(re.search("[a-z]", text), f"expects words, got {text!r}")


def check_resume(args, folder):
    rng = random.Random(int(time.time()))
    data = folder / "data.json"
    data.write_text(json.dumps({
        f"s{i}": [rng.randrange(200) for _ in range(rng.randrange(3, 300))]
        for i in range(24)}))
    common = [args.dsrun, "train", args.artifact,
              f"--weights={args.checkpoint}", f"--ids={data}",
              "--batch-tokens=8192", "--steps=40", "--lr=1e-3", "--warmup=3",
              "--save-every=1"]
    run(*common, f"--out={folder}/whole", "--threads=1")
    killed = 0
    command = [*common, f"--out={folder}/killed", "--threads=2"]
    for _ in range(args.kills):
        process = subprocess.Popen([str(c) for c in command],
                                   stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=rng.uniform(0.05, 0.6))
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
        if (folder / "killed" / "run.json").exists():
            command = [args.dsrun, "train", f"--resume={folder}/killed"]
    if not (folder / "killed" / "step-40").exists():
        run(*command)
    print(f"killed {killed} times")
    expect(killed > 0, "the run was over before it could be killed")
    for name in ("model.safetensors", "optimizer.safetensors"):
        whole = (folder / "whole" / "step-40" / name).read_bytes()
        expect((folder / "killed" / "step-40" / name).read_bytes() == whole,
               f"{name} differs after resuming")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=["golden", "draft", "undrafted",
                                         "contract", "resume", "learns"])
    parser.add_argument("--dsrun", required=True)
    parser.add_argument("--artifact", required=True)
    parser.add_argument("--checkpoint", required=True, type=pathlib.Path)
    parser.add_argument("--kills", type=int, default=6)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        check = {"golden": check_golden, "draft": check_draft,
                 "undrafted": check_undrafted, "contract": check_contract,
                 "resume": check_resume, "learns": check_learns}[args.part]
        check(args, pathlib.Path(folder))


main()
