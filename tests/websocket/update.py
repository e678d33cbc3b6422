"""An update over MQTT on WebSocket, with the WebSocket of Eclipse paho.

A real `otaru serve` is started in a temporary folder. The client comes in over WebSocket, reports its
version, takes the file in blocks, and reports the new version; the task must then have succeeded.

usage: OTARU_BIN=path/to/otaru python -m tests.websocket.update      from the root of the checkout
"""

import hashlib
import json
import queue
import sys

import paho.mqtt.client as mqtt

from tests.harness import PATIENCE, check, on_platform, passed

PK, DN = "a1TestPk001", "dev001"
FILE = bytes(n * 7 % 251 for n in range(300_000))
# More than a frame of the server holds, and more than 64 KiB.
BLOCK = 100_000


class Device:
    """A client of paho over WebSocket, and what has come to it."""

    def __init__(self, platform):
        values = platform.json("device", "credentials", PK, DN)[-1]
        self.came = queue.Queue()
        self.client = mqtt.Client(client_id=values["clientId"], transport="websockets")
        self.client.username_pw_set(values["username"], values["password"])
        self.client.on_connect = lambda client, data, flags, code: self.came.put(("connected", code))
        self.client.on_message = lambda client, data, message: self.came.put((message.topic, message.payload))
        self.client.on_disconnect = lambda client, data, code: self.came.put(("disconnected", code))
        self.client.connect("127.0.0.1", platform.port, keepalive=60)
        self.client.loop_start()
        check(self.next("connected") == 0, "the login is accepted")

    def next(self, topic):
        try:
            came, payload = self.came.get(timeout=PATIENCE)
        except queue.Empty:
            sys.exit(f"error: nothing came, and {topic} was to come")
        check(came == topic, f"{topic} comes, and not {came}")
        return payload

    def publish(self, topic, message):
        self.client.publish(topic, json.dumps(message), qos=1).wait_for_publish(PATIENCE)

    def report(self, version):
        self.publish(f"/ota/device/inform/{PK}/{DN}", {"id": 1, "params": {"version": version}})

    def progress(self, step):
        self.publish(f"/ota/device/progress/{PK}/{DN}", {"id": 2, "params": {"step": str(step), "desc": ""}})

    def download(self, stream):
        data = b""
        while len(data) < len(FILE):
            block = {"size": min(BLOCK, len(FILE) - len(data)), "offset": len(data)}
            file = {"streamId": stream["streamId"], "fileId": stream["streamFileId"]}
            self.publish(f"/sys/{PK}/{DN}/thing/file/download", {"id": 3, "params": {"fileInfo": file, "fileBlock": block}})
            frame = self.next(f"/sys/{PK}/{DN}/thing/file/download_reply")
            head = int.from_bytes(frame[:2], "big")
            check(json.loads(frame[2:2 + head])["data"]["bOffset"] == len(data), "the block asked for comes")
            data += frame[2 + head:-2]
        return data

    def leave(self):
        self.client.disconnect()
        check(self.next("disconnected") == 0, "the client leaves")
        self.client.loop_stop()


def story(platform, folder):
    image = folder / "image.bin"
    image.write_bytes(FILE)
    platform.order("product", "add", "Lamp", "--key", PK)
    platform.order("device", "add", PK, DN)
    package = platform.json("package", "add", PK, str(image), "--version", "2.0.0")["id"]
    job = platform.json("job", "verify", package, DN)["job"]["id"]

    device = Device(platform)
    device.report("1.0.0")
    notice = json.loads(device.next(f"/ota/device/upgrade/{PK}/{DN}"))["data"]
    device.progress(0)
    data = device.download(notice)
    check(hashlib.md5(data).hexdigest() == notice["md5"], "the file is whole")
    device.progress(100)
    device.leave()

    device = Device(platform)
    device.report("2.0.0")
    platform.order("job", "watch", job)
    task = platform.json("job", "tasks", job)[0]
    check(task["state"] == "SUCCEEDED", f"the task has succeeded: {task}")
    device.leave()


on_platform(story)
print(f"websocket: {passed()} passed, 0 failed")
