#!/usr/bin/env python3
"""Asks the API of a real server whatever its description allows, and what it does not allow: schemathesis (PyPI).

Fails on an answer of 5xx but 503, on a status, header or body that the description does not know, and on something right
that is called wrong, or wrong that is taken. 422 says that a request can be read, but what it asks for is not there (a
script of that name, a contact) or does not go together: no description of single requests can tell. What is left of differences: a whole number written
with a fraction (`433.0`), which JSON Schema takes for an integer, and the API refuses, naming the field. SCHEMATHESIS names the program; without it and without `st` in PATH, it is put into
a virtual environment in target/. PROGRAM is the server's program, EXAMPLES how many requests there are of each kind.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

WANTED = "schemathesis==4.32.5"
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,missing_required_header,unsupported_method,ignored_auth,"
    "negative_data_rejection,positive_data_acceptance"
)
CONF = """
number = []
[folders]
state = "state"
scripts = "scripts"
records = "records"
recordings = "recordings"
[media]
rtp_ports = "45000-45999"
[[interface]]
bind = "127.0.0.1:0"
[api]
listen = "127.0.0.1:0"
requests_per_s = 0
"""
TOOL = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "401", "403", "404", "409", "410", "416", "422", "429", "503"]
"""
# A stream does not end, so there is nothing to wait for; and the session of this run is not to end.
LEFT_OUT = ["/v1/events", "/v1/events/socket"]


def tool() -> str | None:
    found = os.environ.get("SCHEMATHESIS") or shutil.which("st")
    if found:
        return found
    folder = Path("target/schemathesis")
    program = folder / "bin" / "st"
    if not program.exists():
        venv.create(folder, with_pip=True)
        done = subprocess.run([folder / "bin" / "pip", "install", "-q", WANTED], check=False)
        if done.returncode != 0:
            return None
    return str(program.resolve())


def main() -> int:
    program = os.path.abspath(os.environ.get("PROGRAM", "target/release/switchhook"))
    checker = tool()
    if checker is None:
        print("left out: schemathesis cannot be had")
        return 3
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "switchhook.toml").write_text(CONF)
        (Path(folder) / "schemathesis.toml").write_text(TOOL)
        said = open(Path(folder) / "said", "w")
        server = subprocess.Popen([program, "run", "--conf", "switchhook.toml"], cwd=folder, stdout=said, stderr=said)
        try:
            return check(program, checker, folder)
        finally:
            server.send_signal(signal.SIGTERM)
            if server.wait(timeout=60) != 0:
                print("the server did not end as it should")


def check(program: str, checker: str, folder: str) -> int:
    at = None
    for _ in range(300):
        at = re.search(r"listening on (\S+), the API", (Path(folder) / "said").read_text())
        if at:
            break
        time.sleep(0.1)
    if at is None:
        print((Path(folder) / "said").read_text())
        return 1
    made = [program, "key", "--conf", "switchhook.toml", "--name", "schema", "--scope", "admin"]
    key = subprocess.run(made, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
    command = [checker, "run", f"http://{at[1]}/openapi.json", "-H", f"Authorization: Bearer {key}", "-c", CHECKS]
    command += ["--phases", "examples,coverage,fuzzing", "-n", os.environ.get("EXAMPLES", "40"), "--generation-database", "none"]
    for path in LEFT_OUT:
        command += ["--exclude-path", path]
    command += sys.argv[1:]
    return subprocess.run(command, cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
