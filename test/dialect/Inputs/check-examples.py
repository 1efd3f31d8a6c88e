"""Parses and verifies the example of every operation's description.

An example uses values that it does not define. Their types are what the
parser says it expected: each is first defined with a type that cannot be
right, and corrected by the error until the module parses.
"""
import pathlib
import re
import subprocess
import sys

PRELUDE = """
ds.weight @layer.mlp.down {labels = ["{i}.down"], rows = array<i64: 64>} : tensor<64x176xbf16>
ds.weight @layer.experts.bias {labels = ["{i}.bias"], rows = array<i64: 16>} : tensor<16xf32>
func.func private @layer(%x: tensor<?x64xf32>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>) -> (tensor<?x64xf32>, !ds.state<[2, 8], bf16>) {
  return %x, %k : tensor<?x64xf32>, !ds.state<[2, 8], bf16>
}
func.func private @head(%x: tensor<?x64xbf16> {ds.rows = "R"}, %t: tensor<?x1xi32> {ds.rows = "R"}, %i: tensor<?x1xf32> {ds.rows = "R"}) -> (tensor<?x1xf32>, tensor<?x1xf32>) {
  return %i, %i : tensor<?x1xf32>, tensor<?x1xf32>
}
"""


def find_examples(path):
    """Yields (mnemonic, [examples]) of the operations of a .td file."""
    for op in re.split(r"\ndef ", path.read_text())[1:]:
        head = re.match(r'\w+ :\s+Ds_(Kernel)?Op<"([a-z_]+)"', op)
        if head:
            name = ("kernel." if head[1] else "") + head[2]
            yield name, re.findall(r"```mlir\n(.*?)```", op, re.S)


def free_values(text):
    used = re.findall(r"%[A-Za-z_]\w*", text)
    defined = set()
    for line in re.findall(r"^\s*(%[^=\n]*) = ", text, re.M):
        defined.update(re.findall(r"%\w+", line))
    for arguments in re.findall(r"\^bb0\((.*?)\)", text):
        defined.update(re.findall(r"(%\w+):", arguments))
    return [v for v in dict.fromkeys(used) if v not in defined]


def parse(tool, text):
    """Parses `text`, in which order does not matter, and returns its errors."""
    types = {value: "i1" for value in free_values(text)}
    for _ in range(len(types) + 1):
        values = "".join(f'{value} = "doc.value"() : () -> {kind}\n'
                         for value, kind in types.items())
        prelude = "" if "ds.weight @" in text else PRELUDE
        run = subprocess.run(
            [tool, "--allow-unregistered-dialect", "-"], text=True,
            input=prelude + text + values, capture_output=True)
        if run.returncode == 0:
            return ""
        wrong = re.search(r"definition of SSA value '(%\w+)#0' has type 'i1'"
                          r".*?previously used here with type '(.*?)'\n",
                          run.stderr, re.S)
        if not wrong:
            return run.stderr
        types[wrong[1]] = wrong[2]
    return run.stderr


def main():
    tool, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    failures = count = 0
    for path in sorted(folder.glob("*.td")):
        for name, examples in find_examples(path):
            if not any(f"ds.{name}" in example for example in examples):
                print(f"{path.name}: ds.{name} has no example")
                failures += 1
            for example in examples:
                count += 1
                errors = parse(tool, example)
                if errors:
                    print(f"{path.name}: example of ds.{name}:\n{errors}")
                    failures += 1
    print(f"{count} examples, {failures} failures")
    return failures or not count


if __name__ == "__main__":
    sys.exit(main() != 0)
