"""Expects the contract test to catch a changed reduction order.

    check_mutation.py CONTRACT_TEST --artifact=SO --weights=DIR

The artifact was compiled with a reduction order that depends on the shape of
the step. The test has to fail, by finding logits that differ, and name where.
"""

import re
import subprocess
import sys


def main():
    done = subprocess.run(sys.argv[1:], capture_output=True, text=True)
    found = done.stdout.count("logits differ from those of the whole prompt")
    caught = sorted(set(re.findall(r"\[  FAILED  \] (\S+), where|"
                                   r"\[  FAILED  \] (\S+) \(", done.stdout)))
    if done.returncode != 1 or not found:
        sys.exit(f"expects the mutation to be caught, found exit code "
                 f"{done.returncode} and {found} differences\n"
                 f"{done.stdout[-4000:]}{done.stderr}")
    print(f"caught by {len(caught)} tests, {found} differences")


if __name__ == "__main__":
    main()
