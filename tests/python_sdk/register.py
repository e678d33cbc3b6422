"""Devices that register with the official Python SDK, unmodified but for its host and port.

A real `otaru serve` is started in a temporary folder, with TLS. One device was made beforehand: the SDK gets
its secret (`register`) and connects with it. Another was not: the SDK gets a token (`regnwl`) and connects
with that. What may not register is told so by the SDK.

usage: OTARU_BIN=path/to/otaru python -m tests.python_sdk.register      from the root of the checkout
"""

import json
import queue

from linkkit.linkkit import LinkKit

from tests.harness import PATIENCE, check, on_platform, passed

PRODUCT_KEY = "a1TestPk001"
PRODUCT_SECRET = "ProductSecret001"
SECRET = "0123456789abcdef0123456789abcdef"


class Site:
    """A platform, and devices that come to it."""

    def __init__(self, platform):
        self.platform = platform

    def kit(self, name, tls=True, **what):
        """The SDK, with what it registers or logs in with."""
        kit = LinkKit(host_name="127.0.0.1", product_key=PRODUCT_KEY, device_name=name,
                      **{"device_secret": "", "product_secret": ""} | what)
        tls = {"secure": "TLS", "cadata": self.platform.ca} if tls else {"secure": ""}
        kit.config_mqtt(endpoint="127.0.0.1", port=self.platform.port, **tls)
        return kit

    def register(self, name, scheme, tls=True, secret=PRODUCT_SECRET):
        """What the SDK gives to the application: an error code and then what it got."""
        answers = queue.Queue()
        kit = self.kit(name, tls, product_secret=secret, auth_type=scheme)
        kit.on_device_dynamic_register = lambda *answer: answers.put(answer)
        kit.on_device_dynamic_register_nwl_reply = lambda *answer: answers.put(answer)
        kit.connect_async()
        answer = answers.get(timeout=PATIENCE)
        kit.destruct()
        return answer

    def refuses(self, *wish, **how):
        return self.register(*wish, **how)[0] != 0

    def connect(self, name, **what):
        connected = queue.Queue()
        kit = self.kit(name, **what)
        kit.on_connect = lambda _session, code, _user: connected.put(code)
        kit.connect_async()
        check(connected.get(timeout=PATIENCE) == 0, f"{name} is let in with what it got")
        kit.destruct()

    def switch(self, dynamic, without):
        self.platform.order("product", "set", PRODUCT_KEY, "--dynamic-registration", str(dynamic).lower(),
                            "--without-pre-registration", str(without).lower())

    def registrations(self):
        events = map(json.loads, self.platform.order("events", "--json").splitlines())
        return [event["params"] for event in events if event["code"] == "deviceRegistered"]


def story(platform, _folder):
    site = Site(platform)
    platform.order("product", "add", "Camera", "--key", PRODUCT_KEY, "--secret", PRODUCT_SECRET)
    check(PRODUCT_SECRET in platform.order("product", "credentials", PRODUCT_KEY), "the product's secret is shown")
    platform.order("device", "add", PRODUCT_KEY, "camera-1", "--secret", SECRET)
    check(site.refuses("camera-1", "register"), "nobody registers before it is switched on")

    site.switch(True, False)
    check(site.refuses("camera-1", "register", secret="another"), "nor with another secret")
    check(site.refuses("camera-1", "register", tls=False), "nor where others can read the secret")
    code, secret, _ = site.register("camera-1", "register")
    check((code, secret) == (0, SECRET), "a device made beforehand gets its secret")
    site.connect("camera-1", device_secret=secret)
    check(site.refuses("camera-1", "register"), "once connected it does not get it again")
    platform.order("device", "allow-registration", PRODUCT_KEY, "camera-1", "--minutes", "5")
    check(site.register("camera-1", "register")[1] == SECRET, "but when it is allowed")
    check(site.refuses("camera-2", "register"), "a device that nobody made has no secret to get")
    check(site.refuses("camera-2", "regnwl"), "nor does it get a token while that is off")

    site.switch(True, True)
    code, client_id, username, token = site.register("camera-2", "regnwl")
    check(code == 0 and username == f"camera-2&{PRODUCT_KEY}", "a device that nobody made gets a token")
    site.connect("camera-2", username=username, client_id=client_id, password=token)
    check(site.registrations() == [
        {"scheme": "register", "again": False},
        {"scheme": "register", "again": True},
        {"scheme": "regnwl", "again": False},
    ], "each registration is an event")


on_platform(story, tls=True)
print(f"python-sdk register: {passed()} passed, 0 failed")
