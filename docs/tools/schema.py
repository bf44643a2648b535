#!/usr/bin/env python3
"""Asks the API of a real server whatever its description allows, and what it does not allow: schemathesis (PyPI).

Fails on an answer of 5xx but 503, on a status, header or body that the description does not know, and on something right
that is called wrong, or wrong that is taken. 422 says that a request can be read, but what it asks for is not there (a
script of that name, a contact) or does not go together: no description of single requests can tell.

The server has numbers, flows, contacts, queues, agents, webhooks, people, a key, calls that go on (to itself) and calls that are over, with
recordings; half of what is asked is about these, the other half about what is not there.

SCHEMATHESIS names the program; without it and without `st` in PATH, it is put into a virtual environment in target/.
PROGRAM is the server's program, EXAMPLES how many requests there are of each kind, PHASES which kinds there are, SEED makes
a run like another one. `make test` runs a part, in half a minute; `make proof` all of it.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from pathlib import Path

WANTED = "schemathesis==4.32.5"
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,missing_required_header,unsupported_method,ignored_auth,"
    "negative_data_rejection,positive_data_acceptance"
)
CONF = """
[folders]
state = "state"
scripts = "scripts"
records = "records"
recordings = "recordings"
prompts = "prompts"
[media]
rtp_ports = "45000-45999"
[[interface]]
bind = "127.0.0.1:0"
[api]
listen = "127.0.0.1:0"
requests_per_s = 0
[[webhook]]
name = "fixed"
url = "http://127.0.0.1:9/"
[[number]]
number = "100"
script = "stay.lua"
[[number]]
number = "101"
script = "tape.lua"
[phones]
script = ""
"""
SCRIPTS = {
    "stay.lua": 'call:answer()\ncall:join("team")\n',
    "tape.lua": "call:answer()\ncall:record { max = 1 }\n",
}
TOOL = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "401", "403", "404", "409", "410", "416", "422", "429", "503"]
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429", "503"]
"""
# Of what is in such a path or body, so often it is something that is there. Nothing is posted to strangers.
KNOWN = {
    "^/v1/agents/": [("path.id", "agents", 0.5)],
    "^/v1/ai-agents/": [("path.id", "ai_agents", 0.5)],
    "^/v1/calls$": [("body.script", "flows", 0.7)],
    "^/v1/calls/": [("path.id", "calls", 0.5)],
    "^/v1/contacts/": [("path.id", "contacts", 0.5)],
    "^/v1/flows/": [("path.id", "flows", 0.5)],
    "^/v1/keys/": [("path.id", "keys", 0.5)],
    "^/v1/queues/": [("path.id", "queues", 0.5)],
    "^/v1/quick-calls$": [("body.from", "numbers", 0.7), ("body.contact", "contacts", 0.5)],
    "^/v1/recordings/": [("path.id", "recordings", 0.5)],
    "^/v1/rooms/": [("path.room", "rooms", 0.5)],
    "^/v1/users/": [("path.id", "users", 0.5)],
    "^/v1/webhooks$": [("body.url", "addresses", 1.0)],
    "^/v1/webhooks/": [("path.id", "webhooks", 0.5), ("body.url", "addresses", 1.0)],
}
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
        print("schemathesis cannot be had: neither SCHEMATHESIS nor `st` is there, and it cannot be installed")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "switchhook.toml").write_text(CONF)
        (Path(folder) / "schemathesis.toml").write_text(TOOL)
        (Path(folder) / "scripts").mkdir()
        for name, text in SCRIPTS.items():
            (Path(folder) / "scripts" / name).write_text(text)
        said = open(Path(folder) / "said", "w")
        server = subprocess.Popen([program, "run", "--conf", "switchhook.toml"], cwd=folder, stdout=said, stderr=said)
        try:
            return check(program, checker, folder)
        finally:
            server.send_signal(signal.SIGTERM)
            if server.wait(timeout=60) != 0:
                print("the server did not end as it should")


def check(program: str, checker: str, folder: str) -> int:
    at = sip = None
    for _ in range(300):
        said = (Path(folder) / "said").read_text()
        at, sip = re.search(r"listening on (\S+), the API", said), re.search(r"listening on udp ([^ ,]+)", said)
        if at and sip:
            break
        time.sleep(0.1)
    if at is None or sip is None:
        print((Path(folder) / "said").read_text())
        return 1
    made = [program, "key", "--conf", "switchhook.toml", "--name", "schema", "--scope", "admin"]
    key = subprocess.run(made, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
    with (Path(folder) / "schemathesis.toml").open("a") as tool_conf:
        tool_conf.write(known(seed(f"http://{at[1]}", key, sip[1])))
    command = [checker, "run", f"http://{at[1]}/openapi.json", "-H", f"Authorization: Bearer {key}", "-c", CHECKS]
    phases = os.environ.get("PHASES", "examples,coverage,fuzzing")
    command += ["--phases", phases, "-n", os.environ.get("EXAMPLES", "40"), "--generation-database", "none"]
    # Two workers at once make Python 3.11 fail in the phase of coverage ("AST constructor recursion depth mismatch").
    command += ["--workers", "1" if "coverage" in phases else "2"]
    if "SEED" in os.environ:
        command += ["--seed", os.environ["SEED"]]
    for path in LEFT_OUT:
        command += ["--exclude-path", path]
    command += sys.argv[1:]
    return subprocess.run(command, cwd=folder, check=False).returncode


def seed(base: str, key: str, sip: str) -> dict[str, list[str]]:
    """Makes one of each kind of thing; gives their names."""

    def ask(method: str, path: str, body: dict | None = None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(base + path, data, {"Authorization": f"Bearer {key}"}, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def until(path: str, is_so) -> list:
        for _ in range(300):
            found = ask("GET", path)
            if is_so(found):
                return found
            time.sleep(0.1)
        raise SystemExit(f"{path}: {found}")

    contacts = [ask("POST", "/v1/contacts", {"name": "Anna", "numbers": ["+49 30 1234"], "vars": {"a": "b"}})["id"]]
    for name in ("stay.lua", "tape.lua"):
        ask("POST", f"/v1/flows/{name}/versions", {"text": SCRIPTS[name], "note": "seed"})
        ask("POST", f"/v1/flows/{name}/activate", {"version": 1})
    ask("POST", "/v1/users", {"name": "bo", "password": "long enough", "role": "read"})
    ask("POST", "/v1/webhooks", {"name": "crm", "url": "http://127.0.0.1:9/"})
    ask("POST", "/v1/agents", {"id": "anna", "addresses": ["201"]})
    ask("POST", "/v1/queues", {"id": "support", "agents": ["anna"]})
    ask("POST", "/v1/ai-agents", {"id": "reception", "model": "openai.x"})
    other = ask("POST", "/v1/keys", {"name": "other", "scope": "read"})["id"]
    call = lambda number: ask("POST", "/v1/calls", {"to": f"sip:{number}@{sip}", "from": "100"})["id"]
    over = [call("101") for _ in range(2)]
    live = [call("100") for _ in range(6)]
    until("/v1/calls?live=true&status=in_progress", lambda found: len(found["calls"]) >= 12)
    recordings = until("/v1/recordings", lambda found: len(found["recordings"]) >= 2)["recordings"]
    for one in over + live[:1]:
        ask("POST", f"/v1/calls/{one}/transcript", {"who": "caller", "text": "hello"})
    return {
        "agents": ["anna"],
        "ai_agents": ["reception"],
        "queues": ["support"],
        "addresses": ["http://127.0.0.1:9/x"],
        "calls": live + over,
        "contacts": contacts,
        "flows": ["stay.lua", "tape.lua"],
        "keys": [other],
        "numbers": ["100", "101"],
        "recordings": [one["id"] for one in recordings],
        "rooms": ["team"],
        "users": ["bo"],
        "webhooks": ["crm", "fixed"],
    }


def known(names: dict[str, list[str]]) -> str:
    """That, in the words of the tool's configuration."""
    lists = [f"[dictionaries.{kind}]\nvalues = {json.dumps(values)}\n" for kind, values in names.items()]
    use = lambda place, kind, share: f'"{place}" = {{ dictionary = "{kind}", probability = {share} }}'
    uses = [
        f'[[operations]]\ninclude-path-regex = "{path}"\nparameters = {{ {", ".join(use(*one) for one in uses)} }}\n'
        for path, uses in KNOWN.items()
    ]
    return "\n".join(lists + uses)


if __name__ == "__main__":
    sys.exit(main())
