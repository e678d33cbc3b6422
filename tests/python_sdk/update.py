"""An update of a device that runs the official Python SDK, unmodified but for its host, port and CA.

A real `otaru serve` is started in a temporary folder. The SDK connects over plain TCP, or TLS, reports its
version, is told of the package, downloads it over HTTP from the same port, checks it, and reports
the new version; the task must then have succeeded.

usage: OTARU_BIN=path/to/otaru python -m tests.python_sdk.update      from the root of the checkout
"""

import hashlib
import queue

from linkkit.linkkit import LinkKit

from tests.harness import PATIENCE, check, on_platform, passed, wait_until

PRODUCT_KEY = "a1TestPk001"
SECRET = "0123456789abcdef0123456789abcdef"


class Device:
    """A device that lets the SDK do everything the SDK can do."""

    def __init__(self, platform, name, secure):
        self.connected, self.notices = queue.Queue(), queue.Queue()
        self.kit = LinkKit(host_name="127.0.0.1", product_key=PRODUCT_KEY, device_name=name, device_secret=SECRET)
        self.kit.config_mqtt(endpoint="127.0.0.1", port=platform.port, secure=secure, cadata=platform.ca)
        self.kit.on_connect = lambda _session, code, _user: self.connected.put(code)
        self.kit.on_ota_message_arrived = lambda *notice: self.notices.put(notice)
        self.kit.connect_async()
        check(self.connected.get(timeout=PATIENCE) == 0, "the SDK's connection is accepted")

    def report(self, module, version):
        # What the SDK returns is no use here: it says "failed" although the report was sent.
        self.kit.ota_report_version(module, version)

    def notice(self):
        kind, version, size, url, method, sign, module, extra = self.notices.get(timeout=PATIENCE)
        return dict(kind=kind, version=version, size=size, url=url, method=method, sign=sign, module=module)

    def download(self, notice, path):
        done = self.kit.download_ota_firmware(notice["url"], str(path), notice["method"], notice["sign"])
        check(done == LinkKit.ErrorCode.SUCCESS, f"the SDK downloads and verifies {notice['url']}: {done}")


def update(platform, folder, name, module, method, secure="", version="2.0.0"):
    """One whole update of a module; the way of signing is the package's."""
    print(f"-- {name}: module {module or 'default'}, digest {method}, {secure or 'plain TCP'}")
    firmware = hashlib.sha256(method.encode()).digest() * 4096  # 128 KiB
    image = folder / f"{method}.bin"
    image.write_bytes(firmware)
    platform.order("device", "add", PRODUCT_KEY, name, "--secret", SECRET)
    target = ["--module", module] if module else []
    package = platform.json("package", "add", PRODUCT_KEY, str(image), "--version", version, *target,
                            "--sign-method", method, "--no-verify")["id"]
    job = platform.json("job", "start", package, "--device", name, "--protocol", "http")["job"]["id"]

    def task_state():
        return next((task["state"] for task in platform.json("job", "tasks", job)), None)

    wait_until("a task", lambda: task_state() == "QUEUED")
    device = Device(platform, name, secure)
    device.report(module, "1.0.0")
    notice = device.notice()
    print("   notice:", notice)
    check(notice["kind"] == 1, "the notice was pushed")
    check(notice["version"] == version, "the notice names the target version")
    check(notice["size"] == len(firmware), "the notice names the size")
    check(notice["module"] == (module or "default"), "the notice names the module")

    device.kit.query_ota_firmware(module)
    asked = device.notice()
    check(asked["kind"] == 2, "a question is answered too")
    check(asked["sign"] == notice["sign"], "and offers the same file")

    received = folder / "received.bin"
    device.download(asked, received)
    check(received.read_bytes() == firmware, "the file arrived as it was sent")

    device.report(module, version)
    wait_until("success", lambda: task_state() == "SUCCEEDED")
    wait_until("the job's end", lambda: platform.json("job", "show", job)["state"] == "COMPLETED")
    device.kit.destruct()


def story(platform, folder):
    platform.order("product", "add", "Camera", "--key", PRODUCT_KEY)
    platform.order("module", "add", PRODUCT_KEY, "MCU")
    update(platform, folder, "camera-1", None, "md5")
    update(platform, folder, "camera-2", "MCU", "sha256")
    update(platform, folder, "camera-3", None, "sha256", secure="TLS", version="2.1.0")


on_platform(story, tls=True)
print(f"python-sdk: {passed()} passed, 0 failed")
