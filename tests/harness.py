"""A real `otaru serve` in a folder, and the operator's commands to it: shared by the tests that are programs."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

OTARU = os.environ["OTARU_BIN"]
PATIENCE = 30  # seconds for any one thing to happen

_passed = 0


def check(condition, what):
    global _passed
    if not condition:
        sys.exit(f"error: {what}")
    _passed += 1


def passed():
    """How many checks were passed so far."""
    return _passed


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(what, condition, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() >= end:
            sys.exit(f"error: {what} did not happen within {seconds} s")
        time.sleep(0.1)
    check(value, what)


class Platform:
    """A running `otaru serve`: without TLS, or with the certificate of `otaru certs new`."""

    def __init__(self, folder, tls=False):
        self.port, operators = free_port(), free_port()
        self.env = os.environ | {
            "OTARU_DATA": str(folder / "data"),
            "OTARU_URL": f"http://127.0.0.1:{operators}",
        }
        self.log = open(folder / "serve.log", "w+")
        if tls:
            self.order("certs", "new", "--name", "localhost", "--name", "127.0.0.1")
            self.ca = (folder / "data" / "tls" / "ca.pem").read_text()
        self.process = subprocess.Popen(
            [OTARU, "serve", "--devices", f"127.0.0.1:{self.port}", "--operators", f"127.0.0.1:{operators}",
             "--public-url", f"http://127.0.0.1:{self.port}"],
            env=self.env, stdout=self.log, stderr=subprocess.STDOUT)
        wait_until("an answer of otaru serve", lambda: self.run("product", "list").returncode == 0)
        check(self.process.poll() is None, "otaru serve goes on")

    def run(self, *words):
        return subprocess.run([OTARU, *words], env=self.env, capture_output=True, text=True)

    def order(self, *words):
        done = self.run(*words)
        check(done.returncode == 0, f"otaru {' '.join(words)}: {done.stderr or done.stdout}")
        return done.stdout

    def json(self, *words):
        return json.loads(self.order(*words, "--json"))

    def roll_out(self, product_key, device, path, version, of_package=(), of_job=()):
        """Starts a job for one device, and returns what asks for its task."""
        package = self.json("package", "add", product_key, str(path), "--version", version, "--no-verify", *of_package)
        job = self.json("job", "start", package["id"], "--device", device, *of_job)["job"]["id"]
        return lambda: next(iter(self.json("job", "tasks", job)), {})

    def stop(self, show_log):
        self.process.terminate()
        self.process.wait(PATIENCE)
        if show_log:
            self.log.seek(0)
            print("--- log of otaru serve:", *self.log.readlines()[-30:], file=sys.stderr)
        self.log.close()


def on_platform(story, tls=False):
    """Runs a story on a platform in a folder of its own; if it breaks off, the platform's log is shown."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        platform = Platform(folder, tls)
        finished = False
        try:
            story(platform, folder)
            finished = True
        finally:
            platform.stop(show_log=not finished)
