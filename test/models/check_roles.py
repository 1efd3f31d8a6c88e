"""Checks that roles of tokens, not steps, decide what is computed.

    check_roles.py --dsrun=FILE --artifact=SO --checkpoint=DIR

Logits of a golden checkpoint's prompts whose tokens from the third on have the
role of generated ones are equal to the bit however the prompts are cut into
steps, batched, put into pages and run on threads.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

CUTS = (["--chunk=1"], ["--chunk=7"], ["--batch"], ["--chunk=5", "--batch"],
        ["--chunk=3", "--batch", "--permute-pages", "--poison-free-pages"],
        ["--threads=1"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dsrun", required=True)
    parser.add_argument("--artifact", required=True)
    parser.add_argument("--checkpoint", required=True, type=pathlib.Path)
    args = parser.parse_args()
    golden = json.loads((args.checkpoint / "golden.json").read_text())
    prompts = {name: p["ids"] + p["greedy"]
               for name, p in golden["prompts"].items()}
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        ids, out = folder / "ids.json", folder / "logits.safetensors"
        ids.write_text(json.dumps(prompts))

        def run(options):
            done = subprocess.run(
                [args.dsrun, "logits", args.artifact,
                 f"--weights={args.checkpoint}", f"--ids={ids}",
                 f"--out={out}", *options], capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"dsrun logits {options}: {done.stderr}")
            return out.read_bytes()

        whole = run(["--generated-from=2"])
        for cut in CUTS:
            if run(["--generated-from=2", *cut]) != whole:
                sys.exit(f"{cut} changes logits")
        mla = "kv_lora_rank" in json.loads(
            (args.checkpoint / "config.json").read_text())
        if (run([]) == whole) == mla:
            sys.exit("expects roles to matter to latent attention alone")


if __name__ == "__main__":
    main()
