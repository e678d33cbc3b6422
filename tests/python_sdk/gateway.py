"""A gateway that runs the official Python SDK, unmodified but for its host and port, and its sub-devices.

A real `otaru serve` is started in a temporary folder. The SDK adds two sub-devices to its topology and logs
them in; one of them is upgraded in blocks over the gateway's connection. Two others are registered by it over
TLS, as what it is told then is secret. What the SDK has no call for, the
program does with the SDK's own publish and messages, as its documents say.

usage: OTARU_BIN=path/to/otaru python -m tests.python_sdk.gateway      from the root of the checkout
"""

import hashlib
import json
import queue

from linkkit.linkkit import LinkKit

from tests.harness import PATIENCE, check, on_platform, passed, wait_until

GATEWAYS, METERS = "a1GatewayPk", "a1MeterPk01"
SECRET = "0123456789abcdef0123456789abcdef"
PRODUCT_SECRET = "ProductSecret001"
BLOCK = 4096


class Gateway:
    """A gateway that lets the SDK do everything the SDK can do."""

    def __init__(self, platform, name, tls=False):
        self.connected, self.replies, self.messages = queue.Queue(), queue.Queue(), queue.Queue()
        self.kit = LinkKit(host_name="127.0.0.1", product_key=GATEWAYS, device_name=name, device_secret=SECRET)
        tls = {"secure": "TLS", "cadata": platform.ca} if tls else {"secure": ""}
        self.kit.config_mqtt(endpoint="127.0.0.1", port=platform.port, **tls)
        self.kit.on_connect = lambda _session, code, _user: self.connected.put(code)
        replied = lambda _id, code, data, message, _user: self.replies.put((code, data, message))
        self.kit.on_gateway_add_subdev_topo_reply = replied
        self.kit.on_gateway_delete_subdev_topo_reply = replied
        self.kit.on_gateway_login_subdev_reply = replied
        self.kit.on_gateway_logout_subdev_reply = replied
        self.kit.on_gateway_register_subdev_reply = replied
        self.kit.on_gateway_product_register_subdev_reply = replied
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


def is_online(platform, name):
    return platform.json("device", "show", METERS, name)["online"]


def register(platform, gateway):
    kit = gateway.kit
    check(gateway.ask(kit.gateway_register_subdev, ["meter-3"])[0] == 6288, "nobody registers before it is switched on")
    platform.order("product", "set", METERS, "--dynamic-registration", "true")
    code, told, _ = gateway.ask(kit.gateway_register_subdev, ["meter-3"])
    check((code, told[0]["deviceName"], told[0]["deviceSecret"]) == (200, "meter-3", SECRET), "meter-3 gets its secret")
    added = gateway.ask(kit.gateway_add_subdev_topo, ["meter-3", told[0]["deviceSecret"]])
    check(added[0] == 200, f"and is added with it: {added}")
    wish = gateway.ask(kit.gateway_product_register_subdev, ["meter-4", PRODUCT_SECRET], ["meter-5", "wrong"])[1]
    told = [(sub["deviceName"], sub["deviceSecret"]) for sub in wish["successes"]]
    check(told == [("meter-4", SECRET)], f"meter-4 gets its secret for the product's: {wish}")
    check([sub["code"] for sub in wish["failures"]] == [6287], f"meter-5 gets none: {wish}")


def story(platform, folder):
    platform.order("product", "add", "Site gateway", "--key", GATEWAYS, "--gateway")
    platform.order("product", "add", "Meter", "--key", METERS, "--secret", PRODUCT_SECRET)
    platform.order("device", "add", GATEWAYS, "gateway-1", "--secret", SECRET)
    names = ["meter-1", "meter-2"]
    for name in [*names, "meter-3", "meter-4", "meter-5"]:
        platform.order("device", "add", METERS, name, "--secret", SECRET)
    gateway = Gateway(platform, "gateway-1")
    kit, subs = gateway.kit, [[name, SECRET] for name in names]
    echo = [{"productKey": METERS, "deviceName": name} for name in names]
    check(gateway.ask(kit.gateway_login_subdev, *subs)[0] == 6401, "a login without topology is refused")
    wrong = gateway.ask(kit.gateway_add_subdev_topo, ["meter-1", "wrong"])
    check(wrong[0] == 6287, f"a wrong secret is refused: {wrong}")
    check(gateway.ask(kit.gateway_add_subdev_topo, *subs) == (200, echo, "success"), "both are added")
    check(gateway.ask(kit.gateway_login_subdev, *subs) == (200, echo, "success"), "both are logged in")
    for name in names:
        wait_until(f"{name} online", lambda: is_online(platform, name))
    listed = platform.json("gateway", "list", GATEWAYS, "gateway-1")
    check([sub["deviceName"] for sub in listed] == names, f"the topology is listed: {listed}")
    upgrade(platform, gateway, folder, "meter-1")
    check(gateway.ask(kit.gateway_logout_subdev, ["meter-1"])[0] == 200, "one is logged out")
    wait_until("meter-1 offline", lambda: not is_online(platform, "meter-1"))
    check(gateway.ask(kit.gateway_delete_subdev_topo, ["meter-2"])[0] == 200, "one is deleted")
    wait_until("meter-2 offline", lambda: not is_online(platform, "meter-2"))
    check(gateway.ask(kit.gateway_register_subdev, ["meter-3"])[0] == 460, "secrets are not sent in clear")
    kit.destruct()
    gateway = Gateway(platform, "gateway-1", tls=True)
    register(platform, gateway)
    gateway.kit.destruct()


on_platform(story, tls=True)
print(f"python-sdk gateway: {passed()} passed, 0 failed")
