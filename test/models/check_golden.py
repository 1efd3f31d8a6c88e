"""Compares an artifact's results on a golden checkpoint with the reference.

    check_golden.py --dsrun=FILE --artifact=SO --checkpoint=DIR --compute=f32|bf16
                    [--emulator=COMMAND] [--option=OPTION ...]
                    [--generated-from=N]

Logits of every prompt and of the packed training sequences, those of a draft
head, hidden states after every layer, what routers choose (in f32), and the greedy token at every
step of the continuations. With
--generated-from, tokens from the N-th on have the role of generated ones. Of
routed models in bf16 only those rows are compared at which rounding leaves the
choice of experts alone.
"""

import argparse
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from tensors import Difference, Report, Tensors, argmax  # noqa: E402

# Of README.md in golden/: (worst row, max/max).
LIMITS = {"f32": (2e-5, 2e-5), "bf16": (8e-2, 6e-2)}
# Of rows of routed models in bf16: (median, nine in ten).
ROUTED_LIMITS = (4e-2, 1e-1)
# Of the best logit before the second, from where bf16 has to choose the same.
CLEAR_MARGIN = 1.0
TRACED = "p33"


def train_sequences(golden):
    """[(name, first row of train.logits, ids)] of the packed batch."""
    ids, begin, out = golden.values("train.ids"), 0, []
    for i, size in enumerate(golden.values("train.lengths")):
        out.append((f"train{i}", begin, list(ids[begin:begin + size])))
        begin += size
    return out


def make_prompts(golden, info):
    prompts = {name: list(p["ids"]) for name, p in info["prompts"].items()}
    prompts.update({name: ids for name, _, ids in train_sequences(golden)})
    for name, p in info["prompts"].items():
        prompts[name + ".more"] = p["ids"] + p["greedy"][:-1]
    return prompts


def has_routers(golden):
    return any(name.startswith("trace.router.") for name in golden.header)


def has_drafts(golden):
    return any(name.endswith(".draft_logits") for name in golden.header)


def run_logits(args, prompts, scratch, routing, drafts):
    """Returns what `dsrun logits` wrote."""
    ids, out = scratch / "prompts.json", scratch / "logits.safetensors"
    ids.write_text(json.dumps(prompts))
    command = shlex.split(args.emulator) + [
        args.dsrun, "logits", args.artifact, f"--weights={args.checkpoint}",
        f"--ids={ids}", f"--out={out}", "--hidden", *args.option]
    if routing:
        command.append("--routing")
    if drafts:
        command.append("--mtp")
    if args.generated_from:
        command.append(f"--generated-from={args.generated_from}")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{shlex.join(command)}\nexited with {done.returncode}: "
                 f"{done.stdout}{done.stderr}")
    return Tensors(out)


class Checker:
    def __init__(self, args, golden, info, found):
        self.args = args
        self.golden, self.info, self.found = golden, info, found
        self.limits = LIMITS[args.compute]
        self.alike = None
        if args.compute == "bf16" and f"{TRACED}.bf16_alike" in golden:
            self.alike = {p: golden.values(f"{p}.bf16_alike")
                          for p in info["prompts"]}
        self.report = Report()

    def within(self, what, difference):
        row, largest = self.limits
        good = (difference.finite and difference.worst_row < row
                and difference.max_over_max() < largest)
        self.report.expect(good, f"{what}: {difference}")

    def rows(self, what, name, expected):
        shape = [len(expected), len(expected[0])]
        if name not in self.found or self.found.shape(name) != shape:
            have = self.found.shape(name) if name in self.found else "nothing"
            self.report.expect(False, f"expects {name} to be {shape}, found {have}")
            return
        pairs = list(zip(self.found.rows(name), expected, strict=True))
        if self.alike is not None:
            return self.alike_rows(what, name.split(".")[0], pairs)
        difference = Difference()
        for a, b in pairs:
            difference.add(a, b)
        self.within(what, difference)

    def alike_rows(self, what, prompt, pairs):
        if prompt not in self.alike:
            return
        far = []
        # Drafts have a row less, whose tokens may choose otherwise, too.
        marks = self.alike[prompt][-len(pairs):]
        for alike, (a, b) in zip(marks, pairs, strict=True):
            if alike:
                difference = Difference()
                difference.add(a, b)
                far.append(difference.worst_row if difference.finite
                           else float("inf"))
        far.sort()
        median, most = far[len(far) // 2], far[(len(far) * 9 - 1) // 10]
        good = median < ROUTED_LIMITS[0] and most < ROUTED_LIMITS[1]
        self.report.expect(good, f"{what}: {len(far)} rows, median {median:.2e}, "
                                 f"nine in ten {most:.2e}")

    def logits(self):
        for name in self.info["prompts"]:
            key = f"{name}.logits"
            self.rows(f"logits of {name}", key, self.golden.rows(key))
        packed = self.golden.rows("train.logits")
        for name, begin, ids in train_sequences(self.golden):
            self.rows(f"logits of {name}", f"{name}.logits",
                      packed[begin:begin + len(ids)])

    def drafts(self):
        for name in self.info["prompts"]:
            key = f"{name}.draft_logits"
            if key in self.golden and self.golden.shape(key)[0] > 0:
                self.rows(f"drafts of {name}", key, self.golden.rows(key))

    def hidden(self):
        prefix = "trace.hidden."
        places = [k[len(prefix):] for k in self.golden.header if k.startswith(prefix)]
        for place in sorted(places):
            self.rows(f"hidden state {place}", f"{TRACED}.hidden.{place}",
                      self.golden.rows(prefix + place))

    def routing(self):
        prefix = "trace.router."
        for name in sorted(self.golden.header):
            if not name.startswith(prefix) or self.alike is not None:
                continue
            what = f"{TRACED}.router.{name[len(prefix):]}"
            if not name.endswith(".picks"):
                self.rows(what, what, self.golden.rows(name))
                continue
            found = self.found.rows(what) if what in self.found else []
            wrong = [i for i, (a, b) in enumerate(
                zip(found, self.golden.rows(name), strict=True))
                if list(a) != list(b)] if found else "no rows"
            self.report.expect(not wrong, f"{what}: rows that differ: {wrong}")

    def greedy(self):
        for name, prompt in self.info["prompts"].items():
            if self.alike is not None:
                self.clear_tokens(name, prompt)
                continue
            first = len(prompt["ids"]) - 1
            found = [argmax(self.found.row(f"{name}.more.logits", first + i))
                     for i in range(len(prompt["greedy"]))]
            self.report.expect(found == prompt["greedy"],
                               f"greedy tokens of {name}: {found}")
            found = generate(self.args, prompt)
            self.report.expect(found == prompt["greedy"],
                               f"generated tokens of {name}: {found}")


    def clear_tokens(self, name, prompt):
        """Greedy tokens where the best logit leads by more than rounding moves."""
        first = len(prompt["ids"]) - 1
        wrong = [i for i, (token, margin) in enumerate(
                     zip(prompt["greedy"], prompt["greedy_margins"], strict=True))
                 if margin > CLEAR_MARGIN and token != argmax(
                     self.found.row(f"{name}.more.logits", first + i))]
        self.report.expect(not wrong, f"greedy tokens of {name}, but for {wrong}")


def generate(args, prompt):
    """The tokens that `dsrun generate` gives, each fed back."""
    command = shlex.split(args.emulator) + [
        args.dsrun, "generate", args.artifact, f"--weights={args.checkpoint}",
        "--ids", ",".join(map(str, prompt["ids"])), "--max-tokens",
        str(len(prompt["greedy"])), "--temperature", "0", "--ignore-eos",
        *args.option]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{shlex.join(command)}\nexited with {done.returncode}: "
                 f"{done.stderr}")
    return [int(token) for token in done.stdout.strip().split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dsrun", required=True)
    parser.add_argument("--artifact", required=True)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--compute", required=True, choices=LIMITS)
    parser.add_argument("--emulator", default="")
    parser.add_argument("--option", action="append", default=[])
    parser.add_argument("--generated-from", type=int, default=0)
    args = parser.parse_args()
    golden = Tensors(os.path.join(args.checkpoint, "golden.safetensors"))
    with open(os.path.join(args.checkpoint, "golden.json"), encoding="utf-8") as file:
        info = json.load(file)
    with tempfile.TemporaryDirectory() as scratch:
        found = run_logits(args, make_prompts(golden, info),
                           pathlib.Path(scratch), has_routers(golden),
                           has_drafts(golden))
        checker = Checker(args, golden, info, found)
        checker.logits()
        checker.drafts()
        checker.hidden()
        checker.routing()
        checker.greedy()
    checker.report.finish()


if __name__ == "__main__":
    main()
