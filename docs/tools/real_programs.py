#!/usr/bin/env python3
"""Runs the tests with real programs, four at a time; arguments are handed on to the test program.

They keep real time on a machine that others may use as well. What failed beside other tests runs once more, alone: if it
fails again it has failed; if not, that is said at the end, with how it failed above. More than two failures are no matter
of a busy machine, and nothing runs again.
"""

import os
import re
import subprocess
import sys

MOST = 2
TEST = ["cargo", "test", "--locked", "--test", "sip", "--"]


def run(arguments: list[str], threads: str) -> tuple[int, list[str]]:
    """The exit code, and the tests that failed; none are named of a run that did not come to its end."""
    failed, told = [], None
    env = {**os.environ, "RUST_TEST_THREADS": threads}
    with subprocess.Popen(TEST + arguments, env=env, stdout=subprocess.PIPE, text=True, errors="replace") as process:
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            if found := re.match(r"test (\S+) .*\bFAILED$", line.strip()):
                failed.append(found[1])
            if found := re.match(r"test result: .* (\d+) failed;", line):
                told = int(found[1])
        return process.wait(), failed if told == len(failed) else []


def main() -> int:
    code, failed = run(sys.argv[1:], os.environ.get("RUST_TEST_THREADS", "4"))
    if code == 0 or not 1 <= len(failed) <= MOST:
        return code
    again = [name for name in failed if run(["--exact", name], "1")[0] != 0]
    for name in failed:
        print(f"{name}: failed beside other tests (see above), and {'again' if name in again else 'not'} alone")
    return 1 if again else 0


if __name__ == "__main__":
    sys.exit(main())
