#!/usr/bin/env python3
"""Runs the suites at full size (PROOF is set), and writes what came out as a table: docs/proof.md.

While a suite runs, a line tells each half minute for how long it has, and what it said last. Words as arguments choose
suites by parts of their names; then the page is not written.
"""

import os
import re
import subprocess
import sys
import threading
import time

SUITES = [
    ("unit and simulated", ["--lib", "--", "--include-ignored"]),
    ("allocations on the media path", ["--test", "alloc"]),
    ("the real program against SIPp, baresip, Kamailio and sipvicious", ["--test", "sip"]),
]
VOICE = "voice quality: PESQ of speech through bad networks"
SCHEMA = "schemathesis: the API and its description"
FUZZING = "cargo-fuzz: message, framing, SDP, sequences of messages"
TELL_EACH_S = 30


def watched(name: str, command: list[str], env: dict[str, str]) -> tuple[int, str]:
    """Runs the command, hands on what it says, and tells that it still runs. Its exit code, and all it said."""
    began, lines, over = time.monotonic(), [], threading.Event()

    def tell() -> None:
        while not over.wait(TELL_EACH_S):
            last = lines[-1].strip()[:120] if lines else "nothing yet"
            print(f"... {name}: {time.monotonic() - began:.0f} s; last: {last}", flush=True)

    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        for line in process.stdout:
            lines.append(line)
            # What a fuzzer says of each new input is not for people.
            if not re.match(r"#\d+\s", line):
                sys.stdout.write(line)
                sys.stdout.flush()
        code = process.wait()
        over.set()
        teller.join()
    return code, "".join(lines)


def run(name: str, arguments: list[str]) -> tuple[str, str, float]:
    began = time.monotonic()
    command = ["cargo", "test", "--locked", "--release", *arguments]
    code, said = watched(name, command, {**os.environ, "PROOF": "1"})
    found = re.findall(r"test result: (\w+)\. (\d+) passed; (\d+) failed", said)
    result, passed, failed = found[-1] if found else ("did not run", "0", "0")
    return result.lower() if code == 0 else "FAILED", f"{passed} passed, {failed} failed", time.monotonic() - began


def fuzz() -> tuple[str, str, float]:
    """Ten minutes for each target (or FUZZ_SECONDS); without cargo-fuzz it says so."""
    began = time.monotonic()
    command = [sys.executable, "docs/tools/fuzz.py", os.environ.get("FUZZ_SECONDS", "600")]
    code, said = watched(FUZZING, command, dict(os.environ))
    found = [line for line in said.splitlines() if line.startswith(("fuzz ", "left out"))]
    result = {0: "ok", 3: "left out"}.get(code, "FAILED")
    return result, "; ".join(found), time.monotonic() - began


def voice() -> tuple[str, str, float]:
    """Writes docs/voice-quality.md, and fails where a limit is not held."""
    began = time.monotonic()
    code, said = watched(VOICE, [sys.executable, "docs/tools/voice_quality.py"], dict(os.environ))
    found = [line for line in said.splitlines() if line.startswith(("FAILED", "voice quality:"))]
    return "ok" if code == 0 else "FAILED", "; ".join(found), time.monotonic() - began


def schema() -> tuple[str, str, float]:
    """Whatever the API's description allows is asked; where schemathesis cannot be had it says so."""
    began = time.monotonic()
    build = subprocess.run(["cargo", "build", "--locked", "--release"], check=False)
    command = [sys.executable, "docs/tools/schema.py"]
    code, said = watched(SCHEMA, command, {**os.environ, "EXAMPLES": "100"}) if build.returncode == 0 else (1, "")
    found = re.findall(r"\d+ generated.*", said)
    result = {0: "ok", 3: "left out"}.get(code, "FAILED")
    return result, found[-1] if found else "", time.monotonic() - began


def main() -> int:
    wanted = lambda name: len(sys.argv) < 2 or any(word.lower() in name.lower() for word in sys.argv[1:])
    rows = [(name, *run(name, arguments)) for name, arguments in SUITES if wanted(name)]
    if wanted(VOICE):
        rows.append((VOICE, *voice()))
    if wanted(SCHEMA):
        rows.append((SCHEMA, *schema()))
    if wanted(FUZZING):
        rows.append((FUZZING, *fuzz()))
    for name, result, tests, seconds in rows:
        print(f"{result:8} {seconds:6.0f} s  {name}: {tests}", flush=True)
    if len(sys.argv) < 2:
        write(rows)
    return 0 if all(result in ("ok", "left out") for _, result, *_ in rows) else 1


def write(rows: list[tuple[str, str, str, float]]) -> None:
    date = time.strftime("%Y-%m-%d", time.gmtime())
    with open("docs/proof.md", "w", encoding="utf-8") as page:
        page.write("# What the suites at full size found\n\nMade by `make proof`")
        page.write(f" on {date}, {os.cpu_count()} cores. A million random orders of two legs and thousands of lossy networks run here.\n\n")
        page.write("| suite | result | tests | seconds |\n|---|---|---|---|\n")
        page.writelines(f"| {name} | {result} | {tests} | {seconds:.0f} |\n" for name, result, tests, seconds in rows)


if __name__ == "__main__":
    sys.exit(main())
