"""Checks balance losses and the update of a router's bias against golden values.

    check_balance.py losses --dscc=FILE --dsrun=FILE --checkpoint=DIR --models=DIR
    check_balance.py groups --dscc=FILE --dsrun=FILE --checkpoint=DIR --models=DIR
    check_balance.py bias   --dscc=FILE --dsrun=FILE --checkpoint=DIR --models=DIR
    check_balance.py index  --dscc=FILE --dsrun=FILE --checkpoint=DIR --models=DIR

losses: the expert-level loss of every layer over the batch and over sequences,
        and the gradients of all routers' weights; on its own layer alone with a
        text whose losses do not reach what is before the router.
groups: the device-level and the communication loss of every layer, as this
        script computes them from what the routers of the serving entry choose.
bias:   what one step makes of the selection bias, over one batch in one step
        and in several (--accumulate); a run that goes on from a checkpoint ends
        with the bytes of one that never stopped.

index:  the KL objective of DeepSeek-V3.2's indexer: the loss of every layer and
        its gradients, alone and beside the cross-entropy, which do not mix.

The golden values are of all tokens of the batch. A step runs all tokens of a
sequence but the last, so each gets one more that is no target.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from tensors import Tensors  # noqa: E402

GRADIENT_LIMIT = 5e-5
LOSS_LIMIT = 1e-5


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True,
                          text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\nexited with "
                 f"{done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def expect(good, message):
    if not good:
        sys.exit("check_balance.py: " + message)


def distance(found, expected):
    """l2 of the difference over l2 of the expected."""
    error = sum((a - b) ** 2 for a, b in zip(found, expected, strict=True))
    return (error / sum(b * b for b in expected)) ** 0.5


def packed_batch(golden):
    ids, begin, batch = golden.values("train.ids"), 0, {}
    for i, size in enumerate(golden.values("train.lengths")):
        own = list(ids[begin:begin + size])
        batch[f"s{i}"] = {"ids": own + [0], "mask": [1] * size + [0]}
        begin += size
    return batch


class Checkpoint:
    """A golden checkpoint with another configuration."""

    def __init__(self, args, folder, **config):
        self.args, self.folder = args, folder
        self.copy = folder / "checkpoint"
        shutil.copytree(args.checkpoint, self.copy, dirs_exist_ok=True)
        path = self.copy / "config.json"
        values = json.loads(path.read_text()) | config
        path.write_text(json.dumps(values))
        self.text = {"deepseek": "deepseek_moe", "deepseek_v2": "deepseek_v2",
                     "deepseek_v3": "deepseek_v3",
                     "deepseek_v32": "deepseek_v32"}[values["model_type"]]
        self.golden = Tensors(args.checkpoint / "golden.safetensors")
        self.info = json.loads((args.checkpoint / "golden.json").read_text())
        self.ids = folder / "batch.json"
        self.ids.write_text(json.dumps(packed_batch(self.golden)))

    def compile(self, objective, edit=None):
        text = (self.args.models / (self.text + ".ds")).read_text()
        if edit:
            text = edit(text)
        source = self.folder / (self.text + ".ds")
        source.write_text(text)
        artifact = self.folder / "m.so"
        run(self.args.dscc, source, f"--config={self.copy}/config.json",
            "-o", artifact, "--compute=f32", "--entry=infer,train",
            f"--objective={objective}")
        return artifact


def replace(text, old, new):
    expect(old in text, f"the text has no '{old}'")
    return text.replace(old, new)


def own_layer(text):
    """The text, with losses that end at the router's weight."""
    for score in ("softmax", "sigmoid"):
        line = f"    scores = {score}(linear(x, router, to = f32))\n"
        if line in text:
            text = text.replace(line, line +
                                line.replace("(x,", "(stop_gradient(x),")
                                .replace("scores =", "own ="))
    text = text.replace("dot_columns(scores", "dot_columns(own")
    return text.replace("normalise(scores)", "normalise(own)")


def raw_scores(text):
    """The text of V3 with the loss of golden's "batch": scores and picks as
    they are."""
    text = text.replace("normalise(scores)", "scores")
    return text.replace("expert_load(top_k(scores, k = K)",
                        "expert_load(picks")


def check_losses(args, folder):
    for kind in ("batch", "sequence"):
        point = Checkpoint(args, folder, aux_loss_alpha=1.0,
                           seq_aux=kind == "sequence")
        # "raw" first, since the other edit renames what it looks for.
        base = raw_scores if kind == "batch" else (lambda text: text)
        for scope, edit in (("all_layers", base),
                            ("own_layer", lambda t: own_layer(base(t)))):
            artifact = point.compile("balance", edit)
            out = folder / "grads.safetensors"
            run(args.dsrun, "grad", artifact, f"--weights={point.copy}",
                f"--ids={point.ids}", f"--out={out}")
            found = Tensors(out)
            expected = point.info["train"]["balance"][kind]
            losses = found.values("auxiliary.balance")
            expect(len(losses) == len(expected), f"{len(losses)} layers")
            for loss, value in zip(losses, expected.values()):
                expect(abs(loss - value) < LOSS_LIMIT * value,
                       f"{kind}: loss {loss}, expected {value}")
            total = found.values("loss")[0]
            expect(abs(total - sum(expected.values())) <
                   LOSS_LIMIT * sum(expected.values()),
                   f"{kind}: sum {total}")
            for gate in expected:
                name = f"balance.{kind}.grad_{scope}.{gate}.weight"
                far = distance(found.values(f"grad.{gate}.weight"),
                               point.golden.values(name))
                print(f"{name}: {far:.2e}")
                expect(far < GRADIENT_LIMIT, f"{name} is {far:.2e} off")


def group_loss(scores, picks, groups, expected, distinct):
    """DeepSeekMoE eq. 15 to 17, or with `distinct` V2 eq. 29 to 31."""
    experts, tokens = len(scores[0]), len(scores)
    size = experts // groups
    counts = [0] * groups
    for row in picks:
        own = [pick // size for pick in row]
        for group in set(own) if distinct else own:
            counts[group] += 1
    loss = 0
    for group in range(groups):
        share = sum(sum(row[group * size:(group + 1) * size])
                    for row in scores) / tokens
        loss += counts[group] * groups / (expected * tokens) * share
    return loss


def check_groups(args, folder):
    groups, limit = 4, 2
    for per_sequence in (False, True):
        point = Checkpoint(args, folder, aux_loss_alpha=0.0, n_group=groups,
                           seq_aux=per_sequence, device_aux_loss_alpha=1.0,
                           **({"communication_aux_loss_alpha": 0.5,
                               "topk_group": limit}
                              if "v2" in args.checkpoint.name else {}))
        artifact = point.compile("balance")
        out = folder / "grads.safetensors"
        run(args.dsrun, "grad", artifact, f"--weights={point.copy}",
            f"--ids={point.ids}", f"--out={out}")
        found = Tensors(out)
        expect("auxiliary.balance" not in found, "a loss of weight 0")
        ids = folder / "ids.json"
        batch = json.loads(point.ids.read_text())
        ids.write_text(json.dumps({n: s["ids"][:-1] for n, s in batch.items()}))
        run(args.dsrun, "logits", artifact, f"--weights={point.copy}",
            f"--ids={ids}", f"--out={folder}/routing.safetensors", "--routing")
        routing = Tensors(folder / "routing.safetensors")
        kinds = [("device_balance", False, 1.0)]
        if "v2" in args.checkpoint.name:
            kinds.append(("communication_balance", True, 0.5))
        for kind, distinct, alpha in kinds:
            losses = found.values(f"auxiliary.{kind}")
            expect(len(losses) == 2, f"{len(losses)} layers")
            for layer, loss in enumerate(losses):
                gate = f"model.layers.{layer + 1}.mlp.gate"
                parts = [[routing.rows(f"{name}.router.{gate}.{what}")
                          for what in ("scores", "picks")] for name in batch]
                if not per_sequence:
                    parts = [[sum((p[i] for p in parts), []) for i in (0, 1)]]
                value = alpha / len(parts) * sum(
                    group_loss(scores, picks, groups,
                               limit if distinct else len(picks[0]), distinct)
                    for scores, picks in parts)
                print(f"{kind} {gate}: {loss:.7f} {value:.7f}")
                expect(abs(loss - value) < LOSS_LIMIT * value,
                       f"{kind} of {gate} is {loss}, expected {value}")
            expect(any(found.values("grad.model.layers.1.mlp.gate.weight")),
                   "no gradient")


def biases(folder, step):
    return Tensors(folder / f"step-{step}" / "model.safetensors")


def check_bias(args, folder):
    point = Checkpoint(args, folder)
    artifact = point.compile("lm")
    names = [n for n in point.golden.header if n.startswith("bias_update.")]
    expect(names, "no golden bias updates")
    common = [args.dsrun, "train", artifact, f"--weights={point.copy}",
              f"--ids={point.ids}", "--save-f32", "--lr=1e-3",
              "--schedule=constant"]
    for steps in (1, 3):
        # The same batch several times: the same sign.
        out = folder / f"accumulated-{steps}"
        run(*common, f"--accumulate={steps}", "--steps=1", f"--out={out}")
        found = biases(out, 1)
        for name in names:
            far = max(abs(a - b) for a, b in
                      zip(found.values(name[12:]), point.golden.values(name),
                          strict=True))
            expect(far < 1e-7, f"{name} is {far:.2e} off")
    run(*common, "--steps=4", f"--out={folder}/whole", "--save-every=2")
    shutil.copytree(folder / "whole", folder / "stopped")
    shutil.rmtree(folder / "stopped" / "step-4")
    shutil.copy(folder / "whole" / "run.json", folder / "stopped")
    run(args.dsrun, "train", f"--resume={folder}/stopped")
    for name in ("model.safetensors", "optimizer.safetensors"):
        whole = (folder / "whole" / "step-4" / name).read_bytes()
        expect((folder / "stopped" / "step-4" / name).read_bytes() == whole,
               f"{name} differs after resuming")
    # Without what the text adds the bias stays.
    artifact = point.compile("cross_entropy")
    run(args.dsrun, "train", artifact, f"--weights={point.copy}",
        f"--ids={point.ids}", "--save-f32", "--lr=1e-3", "--steps=1",
        f"--out={folder}/still")
    still = biases(folder / "still", 1)
    first = biases(folder / "accumulated-1", 1)
    for name in names:
        expect(any(a != b for a, b in zip(still.values(name[12:]),
                                          first.values(name[12:]))),
               f"{name[12:]} moves without its update")


def check_index(args, folder):
    point = Checkpoint(args, folder, index_loss_alpha=1.0, aux_loss_alpha=0.0)
    expected = point.info["train"]["indexer_kl"]
    kl = {name.removeprefix("indexer_kl."): name for name in point.golden.header
          if name.startswith("indexer_kl.grad.")}
    model = {name: name for name in point.golden.header
             if name.startswith("grad.")}
    expect(len(kl) == 5 * len(expected) and model, "golden gradients")
    for objective, wanted in (("balance", kl), ("sft", kl | model)):
        artifact = point.compile(objective)
        out = folder / "grads.safetensors"
        run(args.dsrun, "grad", artifact, f"--weights={point.copy}",
            f"--ids={point.ids}", f"--out={out}")
        found = Tensors(out)
        losses = found.values("auxiliary.index")
        for loss, value in zip(losses, expected.values(), strict=True):
            expect(abs(loss - value) < LOSS_LIMIT * value,
                   f"loss {loss}, expected {value}")
        worst = 0
        for name, key in wanted.items():
            far = distance(found.values(name), point.golden.values(key))
            worst = max(worst, far)
            expect(far < GRADIENT_LIMIT, f"{objective}: {name} is {far:.2e} off")
        print(f"{objective}: gradients {worst:.2e}")
        extra = [n for n in found.header if n.startswith("grad.")
                 and n not in wanted and any(found.values(n))]
        expect(not extra, f"{objective}: unexpected {extra}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=["losses", "groups", "bias", "index"])
    for name in ("dscc", "dsrun", "checkpoint", "models"):
        parser.add_argument(f"--{name}", required=True, type=pathlib.Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        check = {"losses": check_losses, "groups": check_groups,
                 "bias": check_bias, "index": check_index}[args.part]
        check(args, pathlib.Path(folder))


main()
