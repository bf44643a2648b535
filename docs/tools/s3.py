#!/usr/bin/env python3
"""Recordings go to S3 storage that checks signatures: moto (PyPI), with a user and a key of its own.

With a wrong secret nothing arrives, and the log says why. After a restart with the right one the same recording arrives,
byte by byte, under the name that the configuration asks for; one that is recorded then comes after it; and where it is so
configured the files here are gone.

PROGRAM is the server's program. moto is put into a virtual environment in target/, unless MOTO_PYTHON names a Python that
has it.
"""

import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

WANTED = ["moto[s3,iam,server]==5.2.5", "boto3==1.44.5"]
BUCKET = "kept"
# So many requests are taken without a signature: those that make the user.
OPEN = 4
CONF = """
[folders]
state = "state"
scripts = "scripts"
records = "records"
recordings = "recordings"
[media]
rtp_ports = "46000-46999"
[[interface]]
bind = "127.0.0.1:0"
[[number]]
number = "100"
script = "tape.lua"
[recording]
upload = "s3"
upload_url = "{url}/{bucket}/calls"
upload_key = "{key}"
upload_secret = "{secret}"
upload_remove = {remove}
"""
SCRIPT = """call:answer()
call:record { file = 'Müller & Co/' .. call.id .. '+1.wav' }
call:tone({ 600 }, { seconds = 1 })
"""
PATIENCE_S = 90


def python() -> str | None:
    if "MOTO_PYTHON" in os.environ:
        return os.environ["MOTO_PYTHON"]
    folder = Path("target/moto")
    program = folder / "bin" / "python"
    if not (folder / "done").exists():
        venv.create(folder, with_pip=True)
        if subprocess.run([program, "-m", "pip", "install", "-q", *WANTED], check=False).returncode != 0:
            return None
        (folder / "done").touch()
    return str(program.absolute())


class Server:
    """Ours, until the end of the block."""

    def __init__(self, folder: Path, **conf: str):
        (folder / "switchhook.toml").write_text(CONF.format(**conf))
        self.folder, self.program = folder, os.path.abspath(os.environ.get("PROGRAM", "target/release/switchhook"))

    def __enter__(self):
        self.log = self.folder / "said"
        said = self.log.open("w")
        command = [self.program, "run", "--conf", "switchhook.toml"]
        self.process = subprocess.Popen(command, cwd=self.folder, stdout=said, stderr=said)
        self.at = until("the server listens", self.listens)[1]
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)

    def listens(self):
        if self.process.poll() is not None:
            raise SystemExit(f"FAILED: the server does not start: {self.log.read_text()}")
        return re.search(r"listening on udp ([^ ,]+)", self.log.read_text())

    def call(self) -> None:
        subprocess.run([self.program, "call", f"sip:100@{self.at}"], check=True, stdout=subprocess.DEVNULL)


def until(what: str, found):
    for _ in range(PATIENCE_S * 10):
        if result := found():
            return result
        time.sleep(0.1)
    raise SystemExit(f"FAILED: {what}: not within {PATIENCE_S} s")


def check(url: str, client, key: str, secret: str) -> None:
    def stored() -> dict[str, bytes]:
        listed = client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return {one["Key"]: client.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read() for one in listed}

    with tempfile.TemporaryDirectory() as folder:
        home, conf = Path(folder), {"url": url, "bucket": BUCKET, "key": key}
        taped = home / "recordings"
        (home / "scripts").mkdir()
        (home / "scripts" / "tape.lua").write_text(SCRIPT)
        here = lambda: {f"calls/{one.relative_to(taped)}": one.read_bytes() for one in taped.rglob("*.wav")}
        with Server(home, secret="wrong", remove="false", **conf) as server:
            server.call()
            until("a wrong secret is told", lambda: "403" in server.log.read_text())
            first = here()
            assert len(first) == 1 and not stored(), (list(first), list(stored()))
            print("a wrong secret: refused with 403, nothing is stored, the recording stays", flush=True)
        with Server(home, secret=secret, remove="false", **conf) as server:
            until("it arrives after all", lambda: stored() == first)
            server.call()
            until("the next one arrives as well", lambda: len(stored()) == 2 and stored() == here())
            print("the right secret: both recordings are stored byte by byte", flush=True)
        with Server(home, secret=secret, remove="true", **conf) as server:
            server.call()
            until("the third arrives", lambda: len(stored()) == 3)
            until("it is gone here", lambda: len(here()) == 2)
            print("the third is stored, and gone here", flush=True)
    print("s3: 3 recordings with right signatures, 1 with a wrong one", flush=True)


def moto() -> None:
    """Runs in moto's own Python."""
    os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = str(OPEN)
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto_server = ThreadedMotoServer(port=0, verbose=False)
    moto_server.start()
    host, port = moto_server.get_host_and_port()
    url = f"http://127.0.0.1:{port}"
    made = {"endpoint_url": url, "region_name": "us-east-1", "aws_access_key_id": "a", "aws_secret_access_key": "a"}
    iam = boto3.client("iam", **made)
    allowed = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
    policy = iam.create_policy(PolicyName="all", PolicyDocument=allowed)["Policy"]["Arn"]
    iam.create_user(UserName="switchhook")
    iam.attach_user_policy(UserName="switchhook", PolicyArn=policy)
    key = iam.create_access_key(UserName="switchhook")["AccessKey"]
    made |= {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    client = boto3.client("s3", **made)
    client.create_bucket(Bucket=BUCKET)
    try:
        check(url, client, key["AccessKeyId"], key["SecretAccessKey"])
    finally:
        moto_server.stop()


def main() -> int:
    if sys.argv[1:] == ["inside"]:
        moto()
        return 0
    inside = python()
    if inside is None:
        print("moto cannot be had: MOTO_PYTHON is not set, and it cannot be installed")
        return 1
    return subprocess.run([inside, os.path.abspath(__file__), "inside"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
