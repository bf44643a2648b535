#!/usr/bin/env python3
"""Runs the suites at full size (PROOF is set), and writes what came out as a table: docs/proof.md.

While a suite runs, a line tells each half minute for how long it has, and what it said last. Words as arguments choose
suites by parts of their names. The page is written after each suite: a row stays until its suite runs again, and says
of which state it is.
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
S3 = "recordings to S3 storage that checks signatures (moto)"
FUZZING = "cargo-fuzz: message, framing, SDP, sequences of messages"
TELL_EACH_S = 30
PAGE = "docs/proof.md"


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


def built(name: str, tool: str, more: dict[str, str]) -> tuple[int, str, float]:
    """What a tool says of the program as it is released, and for how long it ran."""
    began = time.monotonic()
    build = subprocess.run(["cargo", "build", "--locked", "--release"], check=False)
    command = [sys.executable, f"docs/tools/{tool}"]
    code, said = watched(name, command, {**os.environ, **more}) if build.returncode == 0 else (1, "")
    return code, said, time.monotonic() - began


def schema() -> tuple[str, str, float]:
    """Whatever the API's description allows is asked, and what it does not allow."""
    code, said, seconds = built(SCHEMA, "schema.py", {"EXAMPLES": "100"})
    found = re.findall(r"\d+ generated.*", said)
    return "ok" if code == 0 else "FAILED", found[-1] if found else "", seconds


def s3() -> tuple[str, str, float]:
    """Recordings are uploaded, with a right secret and a wrong one."""
    code, said, seconds = built(S3, "s3.py", {})
    found = re.findall(r"^s3: (.*)", said, re.MULTILINE)
    return "ok" if code == 0 else "FAILED", found[-1] if found else "", seconds


def main() -> int:
    wanted = lambda name: len(sys.argv) < 2 or any(word.lower() in name.lower() for word in sys.argv[1:])
    suites = {name: lambda name=name, arguments=arguments: run(name, arguments) for name, arguments in SUITES}
    suites |= {VOICE: voice, SCHEMA: schema, S3: s3, FUZZING: fuzz}
    good = True
    for name, suite in suites.items():
        if wanted(name):
            result, found, seconds = suite()
            print(f"{result:8} {seconds:6.0f} s  {name}: {found}", flush=True)
            good = good and result in ("ok", "left out")
            write(list(suites), name, f"| {name} | {result} | {found} | {seconds:.0f} | {state()} |")
    return 0 if good else 1


def state() -> str:
    """The date, and the commit of the checkout; "changed" where it is not that alone."""
    asked = lambda *words: subprocess.run(["git", *words], capture_output=True, text=True, check=False).stdout.strip()
    changed = ", changed" if asked("status", "--porcelain", "--", "src", "sip-tests", "fuzz", "Cargo.lock") else ""
    return f"{time.strftime('%Y-%m-%d', time.gmtime())}, {asked('rev-parse', '--short', 'HEAD') or 'no commit'}{changed}"


def write(names: list[str], name: str, row: str) -> None:
    """With this row in place of its older one."""
    rows = {}
    if os.path.exists(PAGE):
        with open(PAGE, encoding="utf-8") as page:
            rows = {line.split(" | ")[0].removeprefix("| "): line.strip() for line in page if line.startswith("| ")}
    rows[name] = row
    with open(PAGE, "w", encoding="utf-8") as page:
        page.write("# What the suites at full size found\n\nMade by `make proof`")
        page.write(f" on {os.cpu_count()} cores. A million random orders of two legs and thousands of lossy networks run here.\n\n")
        page.write("| suite | result | found | seconds | of |\n|---|---|---|---|---|\n")
        page.writelines(rows[name] + "\n" for name in names if name in rows)


if __name__ == "__main__":
    sys.exit(main())
