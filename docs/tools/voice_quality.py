#!/usr/bin/env python3
"""How speech sounds after a bad network: PESQ (ITU-T P.862, and P.862.2 for wideband) of what the real engine makes of it.

Speech of a person (Debian's asterisk-core-sounds-en-wav at 8 kHz, -g722 at 16 kHz) goes through each codec and each network of benches/voice.rs; what
comes out is compared with what went in. Writes docs/voice-quality.md, and fails where a limit is not held. PESQ comes from
PyPI into a folder of its own under the target directory. `--program FILE` takes a bench that is built already; `--dry` writes
no page.
"""

import concurrent.futures
import csv
import io
import os
import pathlib
import statistics
import subprocess
import sys
import time
import wave

TOP = pathlib.Path(__file__).resolve().parents[2]
SOUNDS = pathlib.Path("/usr/share/asterisk/sounds/en_US_f_Allison")
WORK = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target")) / "voice-quality"
PACKAGES = ["pesq==0.0.4", "numpy>=2,<3"]
# (prompt, first second): eight pieces of ten seconds of one speaker.
PIECES = [
    ("demo-instruct", 0), ("demo-instruct", 20), ("demo-instruct", 45), ("demo-congrats", 5),
    ("basic-pbx-ivr-main", 8), ("demo-echotest", 5), ("demo-abouttotry", 3), ("vm-options", 3),
]
SECONDS = 10
LOSSES = [0, 1, 3, 5, 10, 20]
JITTERS = [0, 10, 20, 40, 80, 120]
CODECS = ["PCMU", "PCMA", "G722", "opus"]
WIDE = ["G722", "opus"]


def prepare() -> pathlib.Path:
    """The pieces as samples without a head, at 8 and 16 kHz."""
    folder = WORK / "pieces"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for prompt, first in PIECES:
        with wave.open(str(SOUNDS / f"{prompt}.wav")) as sound:
            if (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) != (8000, 1, 2):
                sys.exit(f"{prompt}.wav is not 16-bit mono at 8 kHz")
            sound.setpos(first * 8000)
            narrow = folder / f"{prompt}-{first}.8000.raw"
            narrow.write_bytes(sound.readframes(SECONDS * 8000))
        wide = folder / f"{prompt}-{first}.16000.raw"
        part = ["-ss", str(first), "-t", str(SECONDS), "-f", "s16le", "-ac", "1", "-ar", "16000"]
        source = SOUNDS / f"{prompt}.g722"
        subprocess.run(["ffmpeg", "-y", "-loglevel", "error", "-f", "g722", "-i", source, *part, wide], check=True)
    return folder


def results(program: str | None, pieces: pathlib.Path) -> list[dict[str, str]]:
    command = [program] if program else ["cargo", "bench", "--locked", "--bench", "voice", "--"]
    out = WORK / "results"
    done = subprocess.run([*command, str(pieces), str(out)], cwd=TOP, check=True, stdout=subprocess.PIPE, text=True)
    return list(csv.DictReader(io.StringIO(done.stdout)))


def score(row: dict[str, str]) -> tuple[float, float | None]:
    """Narrowband, and wideband where the codec is."""
    import numpy
    from pesq import pesq

    rate = int(row["rate"])
    said = numpy.fromfile(WORK / "pieces" / f"{row['piece']}.{rate}.raw", dtype="<i2")
    heard = numpy.fromfile(WORK / "results" / row["file"], dtype="<i2")
    return pesq(rate, said, heard, "nb"), pesq(rate, said, heard, "wb") if rate == 16000 else None


def in_own_python() -> None:
    """Begins again in a Python that has PESQ."""
    try:
        import pesq  # noqa: F401
        return
    except ImportError:
        if os.environ.get("VOICE_QUALITY_VENV"):
            raise
    venv = WORK / "venv"
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    os.execve(str(python), [str(python), *sys.argv], {**os.environ, "VOICE_QUALITY_VENV": "1"})


def main() -> int:
    in_own_python()
    if not SOUNDS.is_dir():
        sys.exit("asterisk-core-sounds-en-wav and asterisk-core-sounds-en-g722 are not installed")
    program = sys.argv[sys.argv.index("--program") + 1] if "--program" in sys.argv else None
    rows = results(program, prepare())
    with concurrent.futures.ProcessPoolExecutor() as pool:
        scores = list(pool.map(score, rows, chunksize=16))
    table: dict[tuple, list[float]] = {}
    delay: dict[tuple, list[float]] = {}
    for row, (value, wide) in zip(rows, scores):
        key = (row["codec"], int(row["loss"]), int(row["burst"]), int(row["jitter"]), row["kind"])
        table.setdefault(key, []).append(value)
        if wide is not None:
            table.setdefault((*key, "wide"), []).append(wide)
        delay.setdefault(key, []).append(float(row["delay_ms"]))
    mean = {key: statistics.mean(values) for key, values in table.items()}
    waits = {key: statistics.mean(values) for key, values in delay.items()}
    page, faults = write(mean, waits)
    print(page)
    if "--dry" not in sys.argv:
        (TOP / "docs" / "voice-quality.md").write_text(page, encoding="utf-8")
    for fault in faults:
        print("FAILED:", fault)
    if not faults:
        print("voice quality: all limits are held")
    return 1 if faults else 0


def write(mean: dict, waits: dict) -> tuple[str, list[str]]:
    faults = []
    lines = [
        "# How speech sounds after a bad network",
        "",
        f"Made by `docs/tools/voice_quality.py` (`make proof` runs it) on {time.strftime('%Y-%m-%d', time.gmtime())}. {len(PIECES)} pieces of",
        f"{SECONDS} seconds of a person (Debian's `asterisk-core-sounds-en-wav` at 8 kHz; for G.722 and Opus",
        "`asterisk-core-sounds-en-g722` at 16 kHz) go as packets of 20 ms through a seeded network into the engine with the settings of a fresh configuration; what a recording of the leg holds is compared with what was said.",
        "The figures are PESQ scores (ITU-T P.862 with the mapping of P.862.1, narrowband, PyPI `pesq`), means of the pieces:",
        "4.5 is as good as it gets, 1 is bad. What in the engine was chosen by such scores was chosen with other voices. The sender of",
        "Opus knows the share of its losses, as RTCP tells ours.",
        "",
        "## Loss",
        "",
        "Beside each score, in brackets: what the same losses would score with silence in their place.",
        "",
    ]
    for burst, words in [(1, "Single packets, at random"), (3, "Three packets in a row")]:
        lines += [f"**{words}**", "", "| lost | " + " | ".join(CODECS) + " |", "|---" * (len(CODECS) + 1) + "|"]
        for loss in LOSSES:
            at = 1 if loss == 0 else burst
            cells = [f"{mean[codec, loss, at, 0, 'engine']:.2f} ({mean[codec, loss, at, 0, 'silence']:.2f})" for codec in CODECS]
            lines.append(f"| {loss} % | " + " | ".join(cells) + " |")
        lines.append("")
    lines += ["## Loss in wideband", "", "The same runs by PESQ's wideband model (P.862.2), which hears up to 7 kHz and is the stricter one: its scores are not",
              "to be compared with those above.", "",
              "| lost | " + " | ".join(f"{codec}, {words}" for codec in WIDE for words in ["single", "three in a row"]) + " |",
              "|---" * (2 * len(WIDE) + 1) + "|"]
    for loss in LOSSES:
        cells = []
        for codec in WIDE:
            for burst in [1, 3]:
                at = 1 if loss == 0 else burst
                heard, silence = mean[codec, loss, at, 0, "engine", "wide"], mean[codec, loss, at, 0, "silence", "wide"]
                cells.append(f"{heard:.2f} ({silence:.2f})")
        lines.append(f"| {loss} % | " + " | ".join(cells) + " |")
    lines += ["", "## What is sent on", "", "The same runs, but of the packets that go to the other party of a bridge, as linear samples so that no second codec",
              "counts: what a recording holds is what the other one hears.", "",
              "| lost | " + " | ".join(f"{codec}, {words}" for codec in CODECS for words in ["single", "three in a row"]) + " |",
              "|---" * (2 * len(CODECS) + 1) + "|"]
    for loss in LOSSES:
        keys = [(codec, loss, 1 if loss == 0 else burst, 0, "sent") for codec in CODECS for burst in [1, 3]]
        lines.append(f"| {loss} % | " + " | ".join(f"{mean[key]:.2f}" for key in keys) + " |")
    lines += ["", "## Jitter", "", "Each packet takes up to so much longer than the fastest; nothing is lost on the way. In brackets: the mean time",
              "that packets wait in the jitter buffer, in ms.", "",
              "| jitter | " + " | ".join(CODECS) + " |", "|---" * (len(CODECS) + 1) + "|"]
    for jitter in JITTERS:
        keys = [(codec, 0, 1, jitter, "engine") for codec in CODECS]
        lines.append(f"| 0 to {jitter} ms | " + " | ".join(f"{mean[key]:.2f} ({waits[key]:.0f})" for key in keys) + " |")
    keys = [(codec, 5, 1, 20, "engine") for codec in CODECS]
    lines += ["| 0 to 20 ms, and 5 % lost | " + " | ".join(f"{mean[key]:.2f} ({waits[key]:.0f})" for key in keys) + " |", ""]
    # What is sent on may not be worse than what is recorded, but for the noise of the score.
    apart = max(mean[key[:4] + ("engine",)] - value for key, value in mean.items() if key[4:] == ("sent",))
    gain = {burst: mean["PCMU", 5, burst, 0, "engine"] - mean["PCMU", 5, burst, 0, "silence"] for burst in (1, 3)}
    wait = max(waits[codec, 0, 1, 20, "engine"] for codec in CODECS)
    lines += ["## Limits that are held", "", "| what | limit | measured |", "|---|---|---|",
              f"| PCMU at 5 % random loss, better than silence by | 0.6 | {gain[1]:.2f} |",
              f"| PCMU at 5 % loss in bursts of three, better than silence by | 0.3 | {gain[3]:.2f} |",
              f"| mean wait in the jitter buffer at 20 ms of jitter | 40 ms | {wait:.0f} ms |",
              f"| what is sent on, worse than what is recorded by | 0.05 | {max(apart, 0):.2f} |", ""]
    faults += [f"{what}" for held, what in [(gain[1] >= 0.6, f"random: {gain[1]:.3f}"), (gain[3] >= 0.3, f"bursts: {gain[3]:.3f}"),
                                            (wait <= 40, f"wait: {wait:.1f} ms"),
                                            (apart <= 0.05, f"sent on: {apart:.3f} worse")] if not held]
    return "\n".join(lines), faults


if __name__ == "__main__":
    sys.exit(main())
