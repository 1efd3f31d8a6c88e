"""Compares artifacts of the golden checkpoints with their references.

    check_verify.py golden --dscc=FILE --dsrun=FILE --golden=DIR --checkpoint=NAME
                           --compute=f32|bf16
    check_verify.py mutations --dscc=FILE --dsrun=FILE --golden=DIR --models=DIR

golden     `dsrun verify` finds no drift in the checkpoint
mutations  an artifact of a text in which one operation was changed, beside the
           reference of the text as it is: verify fails, and what it names first is
           that operation, at its line
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from tensors import Report  # noqa: E402

# (checkpoint, text, operation, what the text says, what it is changed to): the
# line keeps its place and everything before the change on it.
MUTATIONS = (
    ("llama-gqa", "llama", "ds.attend", "scale = Dh ^ -0.5", "scale = Dh ^ -0.49"),
    ("llama-gqa", "llama", "ds.rms_norm",
     "rms_norm(x, mlp_norm, eps = eps)", "rms_norm(x, mlp_norm, eps = 0.01)"),
    ("deepseek-v3", "deepseek_v3", "ds.top_k",
     "kept_groups = Gk,", "kept_groups = G,"),
    ("deepseek-v3", "deepseek_v3", "ds.pick",
     "scale = gain)", "scale = gain * 1.001)"),
    ("deepseek-v3", "deepseek_v3", "ds.mla_attend",
     "scale = scale)", "scale = scale * 1.01)"),
    ("deepseek-v2", "deepseek_v2", "ds.rope",
     'layout = "interleaved")', 'layout = "half_split")'),
    ("deepseek-v3.2", "deepseek_v32", "ds.layer_norm",
     "index_norm, index_bias, eps = 1e-6)",
     "index_norm, index_bias, eps = 1e-2)"),
    ("nsa", "nsa", "ds.sparse_attend", "window = W)", "window = W - 1)"),
    ("nsa", "nsa", "ds.select_blocks", "initial = Bi, local = Bc)",
     "initial = Bi, local = Bc - 1)"),
)


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def compile_model(args, text, config, out, *extra):
    code, output = run(args.dscc, text, f"--config={config}", "-o", out, *extra)
    if code != 0:
        sys.exit(f"{text}: {output}")


def check_golden(args, report, scratch):
    folder = args.golden / args.checkpoint
    for name, extra in (("fast", []), ("reference", ["--reference"])):
        code, output = run(args.dscc, folder, "-o", scratch / f"{name}.so",
                           f"--compute={args.compute}", *extra)
        if code != 0:
            sys.exit(output)
    code, output = run(args.dsrun, "verify", scratch / "fast.so",
                       scratch / "reference.so", f"--weights={folder}", "--list")
    print(output)
    report.expect(code == 0, f"{args.checkpoint} {args.compute}: exit code {code}")
    found = re.search(r"(\d+) values of (\d+) operations compared", output)
    report.expect(found and int(found.group(2)) > 10, "operations are compared")


def check_mutation(args, report, scratch, mutation):
    checkpoint, name, op, before, after = mutation
    folder, text = args.golden / checkpoint, args.models / f"{name}.ds"
    lines = text.read_text(encoding="utf-8").split("\n")
    hits = [i for i, line in enumerate(lines) if before in line]
    if not hits:
        sys.exit(f"{text}: nothing says {before!r}")
    lines[hits[0]] = lines[hits[0]].replace(before, after, 1)
    (scratch / "changed").mkdir(exist_ok=True)
    changed = scratch / "changed" / f"{name}.ds"
    changed.write_text("\n".join(lines), encoding="utf-8")
    config = folder / "config.json"
    compile_model(args, changed, config, scratch / "fast.so", "--compute=f32")
    compile_model(args, text, config, scratch / "reference.so", "--compute=f32",
                  "--reference")
    code, output = run(args.dsrun, "verify", scratch / "fast.so",
                       scratch / "reference.so", f"--weights={folder}")
    what = f"{checkpoint}: {before!r} for {after!r}"
    report.expect(code == 1, f"{what}: exit code {code}")
    first = re.search(r"the first that drifts is (\S+?):(\d+):\d+: (\S+)", output)
    if not first:
        report.expect(False, f"{what}: {output}")
        return
    # A call may begin on a line before.
    near = 0 <= hits[0] + 1 - int(first.group(2)) <= 2
    report.expect(first.group(1) == f"{name}.ds" and near and
                  f"/{op}@" in first.group(3),
                  f"{what}: names {first.group(0)[24:]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("golden", "mutations"))
    for name in ("dscc", "dsrun", "checkpoint", "compute"):
        parser.add_argument(f"--{name}")
    for name in ("golden", "models"):
        parser.add_argument(f"--{name}", type=pathlib.Path)
    args = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        if args.part == "golden":
            check_golden(args, report, scratch)
        else:
            for mutation in MUTATIONS:
                check_mutation(args, report, scratch, mutation)
    report.finish()


if __name__ == "__main__":
    main()
