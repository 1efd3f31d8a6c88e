"""Fetches the published tokenizers and runs the test that reads them.

    run_published.py FETCH_SCRIPT FOLDER TEST_PROGRAM

Exits with 77, which ctest takes as skipped, where they cannot be fetched.
"""

import os
import subprocess
import sys


def main():
    fetch, folder, program = sys.argv[1:4]
    done = subprocess.run([sys.executable, fetch, folder, "--cache",
                           os.path.join(folder, "packages")])
    if done.returncode == 77:
        print("skipped: the tokenizer packages cannot be fetched")
    if done.returncode != 0:
        sys.exit(done.returncode)
    environment = {**os.environ, "DS_TOKENIZERS": folder}
    sys.exit(subprocess.run([program], env=environment).returncode)


main()
