"""Compares SmolLM2-135M with what `transformers` gave in float32.

    check_smollm2.py tokenizer|f32|bf16|perplexity --dscc=FILE --dsrun=FILE
                     --folder=DIR --record=smollm2.json --artifacts=DIR

tokenizer   ids of every prompt, and of the text of the perplexity, exact
f32         48 greedy tokens of every prompt, exact
bf16        the recorded token at every step whose margin is at least 0.3,
            given the recorded tokens before it
perplexity  within 0.5 % in both compute types
Exit code 77 says that the folder could not be made.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from tensors import Report, Tensors, argmax  # noqa: E402

SKIPPED = 77
SAFE_MARGIN = 0.3
PERPLEXITY_LIMIT = 0.005


class Checker:
    def __init__(self, args, record, scratch):
        self.args, self.record, self.scratch = args, record, scratch
        self.report = Report()

    def run(self, *command):
        done = subprocess.run([str(c) for c in command], capture_output=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))}\nexited with "
                     f"{done.returncode}: {done.stderr.decode()}")
        return done.stdout.decode()

    def artifact(self, compute):
        path = pathlib.Path(self.args.artifacts) / f"smollm2-{compute}.so"
        self.run(self.args.dscc, self.args.folder, "-o", path,
                 f"--compute={compute}")
        return path

    def text_file(self, text):
        path = self.scratch / "text"
        path.write_bytes(text.encode())
        return path

    def tokenizer(self):
        texts = {n: (p["text"], p["ids"]) for n, p in self.record["prompts"].items()}
        texts["perplexity"] = (self.record["perplexity"]["text"],
                               self.record["perplexity"]["ids"])
        for name, (text, ids) in texts.items():
            out = self.run(self.args.dsrun, "tokenize", self.args.folder,
                           "--file", self.text_file(text), "--ids")
            found = [int(n) for n in re.findall(r"\d+", out)]
            self.report.expect(found == ids, f"ids of {name}")

    def continuations(self, compute):
        """{name: the best token at each step, given the recorded ones}"""
        prompts = {n: p["ids"] + p["greedy"][:-1]
                   for n, p in self.record["prompts"].items()}
        ids, out = self.scratch / "ids.json", self.scratch / "out.safetensors"
        ids.write_text(json.dumps(prompts))
        self.run(self.args.dsrun, "logits", self.artifact(compute),
                 f"--weights={self.args.folder}", f"--ids={ids}", f"--out={out}")
        tensors, best = Tensors(out), {}
        for name, p in self.record["prompts"].items():
            first = len(p["ids"]) - 1
            best[name] = [argmax(tensors.row(f"{name}.logits", first + i))
                          for i in range(len(p["greedy"]))]
        return best

    def f32(self):
        for name, found in self.continuations("f32").items():
            expected = self.record["prompts"][name]["greedy"]
            self.report.expect(found == expected, f"greedy tokens of {name}")
        self.generated_text()

    def generated_text(self):
        """The text that `dsrun generate` prints for one prompt."""
        prompt = self.record["prompts"]["english"]
        out = self.run(self.args.dsrun, "generate",
                       pathlib.Path(self.args.artifacts) / "smollm2-f32.so",
                       f"--weights={self.args.folder}", "--prompt", prompt["text"],
                       "--max-tokens", self.record["steps"], "--temperature", 0)
        self.report.expect(prompt["greedy_text"].strip() in out,
                           f"text of dsrun generate: {out!r}")

    def bf16(self):
        for name, found in self.continuations("bf16").items():
            p = self.record["prompts"][name]
            steps = zip(found, p["greedy"], p["greedy_margins"], strict=True)
            wrong = [i for i, (a, b, margin) in enumerate(steps)
                     if a != b and margin >= SAFE_MARGIN]
            self.report.expect(not wrong, f"{name}: steps that differ: {wrong}")

    def perplexity(self):
        expected = self.record["perplexity"]["perplexity"]
        text = self.text_file(self.record["perplexity"]["text"])
        for compute in ("f32", "bf16"):
            out = self.run(self.args.dsrun, "eval", self.artifact(compute),
                           f"--weights={self.args.folder}", f"--file={text}")
            found = re.search(r"perplexity\D*([0-9.]+)", out)
            if not found:
                sys.exit(f"expects a perplexity in the output of eval, found {out!r}")
            value = float(found[1])
            self.report.expect(abs(value / expected - 1) < PERPLEXITY_LIMIT,
                               f"{compute}: {value}, recorded {expected:.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("tokenizer", "f32", "bf16", "perplexity"))
    for name in ("dscc", "dsrun", "folder", "record", "artifacts"):
        parser.add_argument(f"--{name}", required=True)
    args = parser.parse_args()
    if not (pathlib.Path(args.folder) / "model.safetensors").exists():
        print(f"skipped: {args.folder} could not be made, see models.smollm2.folder")
        sys.exit(SKIPPED)
    with open(args.record, encoding="utf-8") as file:
        record = json.load(file)
    with tempfile.TemporaryDirectory() as scratch:
        checker = Checker(args, record, pathlib.Path(scratch))
        getattr(checker, args.part)()
    checker.report.finish()


if __name__ == "__main__":
    main()
