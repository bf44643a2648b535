#!/usr/bin/env python3
"""Runs the suites at full size (PROOF is set), and writes what came out as a table: docs/proof.md."""

import os
import re
import subprocess
import sys
import time

SUITES = [
    ("unit and simulated", ["--lib"]),
    ("allocations on the media path", ["--test", "alloc"]),
    ("the real program against SIPp and baresip", ["--test", "sip"]),
]


def run(arguments: list[str]) -> tuple[str, str, float]:
    began = time.monotonic()
    command = ["cargo", "test", "--locked", "--release", *arguments]
    done = subprocess.run(command, env={**os.environ, "PROOF": "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    sys.stdout.write(done.stdout)
    found = re.findall(r"test result: (\w+)\. (\d+) passed; (\d+) failed", done.stdout)
    result, passed, failed = found[-1] if found else ("did not run", "0", "0")
    return result.lower() if done.returncode == 0 else "FAILED", f"{passed} passed, {failed} failed", time.monotonic() - began


def fuzz() -> tuple[str, str, float]:
    """Ten minutes for each target; without cargo-fuzz it says so."""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "docs/tools/fuzz.py"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    sys.stdout.write(done.stdout)
    found = [line for line in done.stdout.splitlines() if line.startswith(("fuzz ", "left out"))]
    result = {0: "ok", 3: "left out"}.get(done.returncode, "FAILED")
    return result, "; ".join(found), time.monotonic() - began


def main() -> int:
    rows = [(name, *run(arguments)) for name, arguments in SUITES]
    rows.append(("cargo-fuzz: message, framing, SDP, sequences of messages", *fuzz()))
    date = time.strftime("%Y-%m-%d", time.gmtime())
    with open("docs/proof.md", "w", encoding="utf-8") as page:
        page.write("# What the suites at full size found\n\nMade by `make proof`")
        page.write(f" on {date}, {os.cpu_count()} cores. A million random orders of two legs and thousands of lossy networks run here.\n\n")
        page.write("| suite | result | tests | seconds |\n|---|---|---|---|\n")
        page.writelines(f"| {name} | {result} | {tests} | {seconds:.0f} |\n" for name, result, tests, seconds in rows)
    return 0 if all(result in ("ok", "left out") for _, result, *_ in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
