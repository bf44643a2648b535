#!/usr/bin/env python3
"""Runs each cargo-fuzz target for ten minutes (or so many seconds as the first argument says), and stops at a finding.

What it wants and the machine lacks, a nightly toolchain and cargo-fuzz, is installed.
The corpus is begun with the messages of shared folders in SWITCHHOOK_VECTORS, where it is set, and is kept small.
"""

import os
import pathlib
import shutil
import subprocess
import sys

TARGETS = ["message", "framing", "sdp", "sequence"]
WANTED = [["rustup", "toolchain", "install", "nightly", "--profile", "minimal"], ["cargo", "install", "cargo-fuzz", "--locked"]]
TOP = pathlib.Path(__file__).resolve().parents[2]


def seed(target: str) -> pathlib.Path:
    corpus = TOP / "fuzz" / "corpus" / target
    corpus.mkdir(parents=True, exist_ok=True)
    vectors = os.environ.get("SWITCHHOOK_VECTORS")
    for folder in ["rfc4475", "rfc5118"] if vectors and target in ("message", "framing", "sdp") else []:
        for file in (pathlib.Path(vectors) / folder).iterdir():
            data = file.read_bytes()
            if target == "framing":
                data = b"\x07" + data
            if target == "sdp":
                data = data.replace(b"\r\n", b"\n").partition(b"\n\n")[2]
            (corpus / f"{folder}-{file.name}").write_bytes(data)
    return corpus


def run(target: str, seconds: int) -> bool:
    cargo = ["cargo", "+nightly", "fuzz"]
    corpus = seed(target)
    arguments = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]
    # Memory errors are none in safe Rust; without the sanitizer it runs several times as fast.
    done = subprocess.run([*cargo, "run", "-s", "none", target, str(corpus), "--", *arguments], cwd=TOP)
    if done.returncode == 0:
        subprocess.run([*cargo, "cmin", "-s", "none", target, str(corpus)], cwd=TOP, check=False)
    print(f"fuzz {target}: {'no finding' if done.returncode == 0 else 'FINDING, see fuzz/artifacts'} in {seconds} s", flush=True)
    return done.returncode == 0


def main() -> int:
    for command in WANTED:
        if not shutil.which("cargo-fuzz") and subprocess.run(command, check=False).returncode != 0:
            print(f"left out: cannot be installed: {' '.join(command)}", flush=True)
            return 3
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    return 0 if all([run(target, seconds) for target in TARGETS]) else 1


if __name__ == "__main__":
    sys.exit(main())
