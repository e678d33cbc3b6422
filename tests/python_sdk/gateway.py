"""A gateway that runs the official Python SDK, unmodified but for its host and port, and its sub-devices.

A real `otaru serve` is started in a temporary folder. The SDK adds two sub-devices to its topology and logs
them in; one of them is upgraded in blocks over the gateway's connection. What the SDK has no call for, the
program does with the SDK's own publish and messages, as its documents say.

usage: OTARU_BIN=path/to/otaru python tests/python_sdk/gateway.py
"""

import hashlib
import json
import os
import pathlib
import queue
import socket
import subprocess
import sys
import tempfile
import time

from linkkit.linkkit import LinkKit

OTARU = os.environ["OTARU_BIN"]
GATEWAYS, METERS = "a1GatewayPk", "a1MeterPk01"
SECRET = "0123456789abcdef0123456789abcdef"
BLOCK = 4096
PATIENCE = 30  # seconds for any one thing to happen

passed = 0


def check(condition, what):
    global passed
    if not condition:
        sys.exit(f"error: {what}")
    passed += 1


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(what, condition):
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        if time.monotonic() >= end:
            sys.exit(f"error: {what} did not happen within {PATIENCE} s")
        time.sleep(0.1)
    check(value, what)


class Platform:
    """A running `otaru serve` and the operator's commands to it."""

    def __init__(self, folder):
        self.port, operators = free_port(), free_port()
        self.env = os.environ | {
            "OTARU_DATA": str(folder / "data"),
            "OTARU_URL": f"http://127.0.0.1:{operators}",
        }
        self.log = open(folder / "serve.log", "w+")
        self.process = subprocess.Popen(
            [OTARU, "serve", "--devices", f"127.0.0.1:{self.port}", "--operators", f"127.0.0.1:{operators}"],
            env=self.env, stdout=self.log, stderr=subprocess.STDOUT)
        wait_until("an answer of otaru serve", lambda: self.run("product", "list").returncode == 0)

    def run(self, *words):
        return subprocess.run([OTARU, *words], env=self.env, capture_output=True, text=True)

    def order(self, *words):
        done = self.run(*words)
        check(done.returncode == 0, f"otaru {' '.join(words)}: {done.stderr or done.stdout}")
        return done.stdout

    def json(self, *words):
        return json.loads(self.order(*words, "--json"))

    def online(self, name):
        return self.json("device", "show", METERS, name)["online"]

    def stop(self, show_log):
        self.process.terminate()
        self.process.wait()
        if show_log:
            self.log.seek(0)
            print("--- log of otaru serve:", *self.log.readlines()[-30:], file=sys.stderr)
        self.log.close()


class Gateway:
    """A gateway that lets the SDK do everything the SDK can do."""

    def __init__(self, port, name):
        self.connected, self.replies, self.messages = queue.Queue(), queue.Queue(), queue.Queue()
        self.kit = LinkKit(host_name="127.0.0.1", product_key=GATEWAYS, device_name=name, device_secret=SECRET)
        self.kit.config_mqtt(endpoint="127.0.0.1", port=port, secure="")
        self.kit.on_connect = lambda _session, code, _user: self.connected.put(code)
        replied = lambda _id, code, data, message, _user: self.replies.put((code, data, message))
        self.kit.on_gateway_add_subdev_topo_reply = replied
        self.kit.on_gateway_delete_subdev_topo_reply = replied
        self.kit.on_gateway_login_subdev_reply = replied
        self.kit.on_gateway_logout_subdev_reply = replied
        self.kit.on_topic_message = lambda topic, payload, _qos, _user: self.messages.put((topic, payload))
        self.kit.connect_async()
        check(self.connected.get(timeout=PATIENCE) == 0, "the SDK's connection is accepted")

    def ask(self, call, *subs):
        check(call([[METERS, *sub] for sub in subs])[0] == 0, f"the SDK sends {call.__name__}")
        return self.replies.get(timeout=PATIENCE)

    def publish(self, topic, message):
        check(self.kit.publish_topic(topic, json.dumps(message))[0] == 0, f"the SDK publishes on {topic}")

    def report(self, name, version):
        self.publish(f"/ota/device/inform/{METERS}/{name}", {"id": 1, "params": {"version": version}})

    def message(self, topic):
        found, payload = self.messages.get(timeout=PATIENCE)
        check(found == topic, f"a message on {topic}: {found}")
        return payload

    def block(self, name, stream, offset):
        topic = f"/sys/{METERS}/{name}/thing/file/download"
        where = {"fileInfo": {"streamId": stream, "fileId": 1}, "fileBlock": {"size": BLOCK, "offset": offset}}
        self.publish(topic, {"id": "1", "version": "1.0", "params": where})
        frame = bytes(self.message(topic + "_reply"))
        length = int.from_bytes(frame[:2], "big")
        head = json.loads(frame[2:2 + length])
        check(head["code"] == 200, f"a block is served: {head}")
        return frame[2 + length:2 + length + head["data"]["bSize"]]


def upgrade(platform, gateway, folder, name):
    firmware = hashlib.sha256(b"meter").digest() * 1024  # 32 KiB
    image = folder / "meter.bin"
    image.write_bytes(firmware)
    package = platform.json("package", "add", METERS, str(image), "--version", "2.0.0", "--no-verify")["id"]
    job = platform.json("job", "start", package, "--device", name)["job"]["id"]
    gateway.report(name, "1.0.0")
    notice = json.loads(gateway.message(f"/ota/device/upgrade/{METERS}/{name}"))["data"]
    print("   notice:", notice)
    received = b""
    while len(received) < notice["size"]:
        received += gateway.block(name, notice["streamId"], len(received))
    check(received == firmware, "the file arrived as it was sent")
    check(hashlib.md5(received).hexdigest() == notice["sign"], "its digest is that of the notice")
    gateway.report(name, "2.0.0")
    wait_until("success", lambda: platform.json("job", "show", job)["state"] == "COMPLETED")


def story(platform, folder):
    platform.order("product", "add", "Site gateway", "--key", GATEWAYS, "--gateway")
    platform.order("product", "add", "Meter", "--key", METERS)
    platform.order("device", "add", GATEWAYS, "gateway-1", "--secret", SECRET)
    names = ["meter-1", "meter-2"]
    for name in names:
        platform.order("device", "add", METERS, name, "--secret", SECRET)
    gateway = Gateway(platform.port, "gateway-1")
    kit, subs = gateway.kit, [[name, SECRET] for name in names]
    echo = [{"productKey": METERS, "deviceName": name} for name in names]
    check(gateway.ask(kit.gateway_login_subdev, *subs)[0] == 6401, "a login without topology is refused")
    wrong = gateway.ask(kit.gateway_add_subdev_topo, ["meter-1", "wrong"])
    check(wrong[0] == 6287, f"a wrong secret is refused: {wrong}")
    check(gateway.ask(kit.gateway_add_subdev_topo, *subs) == (200, echo, "success"), "both are added")
    check(gateway.ask(kit.gateway_login_subdev, *subs) == (200, echo, "success"), "both are logged in")
    for name in names:
        wait_until(f"{name} online", lambda: platform.online(name))
    listed = platform.json("gateway", "list", GATEWAYS, "gateway-1")
    check([sub["deviceName"] for sub in listed] == names, f"the topology is listed: {listed}")
    upgrade(platform, gateway, folder, "meter-1")
    check(gateway.ask(kit.gateway_logout_subdev, ["meter-1"])[0] == 200, "one is logged out")
    wait_until("meter-1 offline", lambda: not platform.online("meter-1"))
    check(gateway.ask(kit.gateway_delete_subdev_topo, ["meter-2"])[0] == 200, "one is deleted")
    wait_until("meter-2 offline", lambda: not platform.online("meter-2"))
    kit.destruct()


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        platform = Platform(folder)
        finished = False
        try:
            story(platform, folder)
            finished = True
        finally:
            platform.stop(show_log=not finished)
    print(f"python-sdk gateway: {passed} passed, 0 failed")


main()
