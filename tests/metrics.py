"""What /metrics says, read by the parser of Prometheus' own Python client; and the alert rules, read as YAML.

A real `otaru serve` is started in a temporary folder, and a stranger connects so that something is counted.

usage: OTARU_BIN=path/to/otaru python -m tests.metrics
"""

import pathlib
import socket
import subprocess
import sys
import tempfile
import urllib.request

import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.harness import OTARU, check

ROOT = pathlib.Path(__file__).parent.parent


def started(folder):
    """A platform, and where its devices and operators connect."""
    command = [OTARU, "serve", "--data", folder, "--devices", "127.0.0.1:0", "--operators", "127.0.0.1:0"]
    platform = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    found = {}
    for line in platform.stdout:
        who, _, rest = line.strip().partition(" ")
        found[who] = rest.split()[0] if rest.split() else ""
        if who == "operators":
            return platform, found["devices"], found["operators"]
    sys.exit("error: the platform did not start")


def turned_away(devices):
    """Says what is no protocol of devices, and waits until the door hangs up."""
    host, port = devices.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as stranger:
        stranger.sendall(b"\xff\xff\xff")
        try:
            while stranger.recv(100):
                pass
        except ConnectionResetError:
            pass  # What was sent was not read: a hang-up too.


def scrape(operators):
    with urllib.request.urlopen(f"http://{operators}/metrics", timeout=10) as answer:
        check("version=0.0.4" in answer.headers["Content-Type"], answer.headers["Content-Type"])
        return answer.read().decode()


def check_metrics(text):
    families = {family.name: family for family in text_string_to_metric_families(text)}
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    samples = [sample for family in families.values() for sample in family.samples]
    check(len(samples) == len(lines), f"{len(lines)} lines, but {len(samples)} numbers were read")
    check(len({(s.name, tuple(sorted(s.labels.items()))) for s in samples}) == len(samples), "a number comes twice")
    for family in families.values():
        check(family.type in ("counter", "gauge", "histogram"), f"{family.name} is of type {family.type}")
        check(family.documentation, f"{family.name} has no help")
    refusals = {s.labels["reason"]: s.value for s in families["otaru_refusals"].samples}
    check(refusals["unknown_protocol"] == 1, "the stranger was not counted")
    check(families["otaru_connections"].samples[0].value == 1, "the connection was not counted")
    for name in ("process_resident_memory_bytes", "process_open_fds", "process_max_fds"):
        check(families[name].samples[0].value > 0, f"{name} is not known")
    return len(samples)


def check_alerts():
    rules = yaml.safe_load((ROOT / "docs/alerts.yml").read_text())["groups"][0]["rules"]
    for rule in rules:
        check({"alert", "expr", "labels", "annotations"} <= rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}, rule)
        check(rule["expr"].count("(") == rule["expr"].count(")"), rule["expr"])
    check(len({rule["alert"] for rule in rules}) == len(rules), "two alerts have one name")
    return len(rules)


def main():
    with tempfile.TemporaryDirectory() as folder:
        platform, devices, operators = started(folder)
        try:
            turned_away(devices)
            numbers = check_metrics(scrape(operators))
        finally:
            platform.terminate()
            platform.wait()
    print(f"{numbers} numbers and {check_alerts()} alert rules were read")


main()
