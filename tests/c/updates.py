"""A device in C made of a file (tests/c/device.c, or an example on tests/c/esp), updated from a real `otaru serve` while its power is cut again and again.

usage: OTARU_BIN=... DEVICE=path/to/device python3 -m tests.c.updates [--esp] [--cuts N] [--seed N] [WRAPPER...]
"""

import argparse
import hashlib
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import time

from tests.harness import PATIENCE, check, on_platform, passed, wait_until

arguments = argparse.ArgumentParser()
arguments.add_argument("--cuts", type=int, default=40)
arguments.add_argument("--seed", type=int, default=random.randrange(1 << 32))
arguments.add_argument("--esp", action="store_true", help="what installs looks at the image first, as esp_ota_ops")
arguments.add_argument("wrapper", nargs="*", help="what the device is run by, as valgrind")
options = arguments.parse_args()
rng = random.Random(options.seed)

DEVICE = os.environ["DEVICE"]
PRODUCT_KEY, NAME, SECRET = "a1TestPk001", "file-0001", "0123456789abcdef0123456789abcdef"
SLOT, SLOTS = 0x100000, (0x4000, 0x104000)

# What AddressSanitizer, UndefinedBehaviorSanitizer and valgrind say.
FINDING = re.compile(r"Sanitizer|runtime error|==\d+==")


class Device:
    def __init__(self, folder, platform):
        self.flash, self.log_path = folder / "flash.bin", folder / "device.log"
        self.log = open(self.log_path, "w")
        self.words = [str(platform.port), PRODUCT_KEY, NAME, SECRET]
        self.process = None

    def call(self, *words):
        return subprocess.Popen([*options.wrapper, DEVICE, str(self.flash), *words], stdout=self.log, stderr=subprocess.STDOUT)

    def provision(self, image):
        check(self.call("provision", str(image)).wait(PATIENCE) == 0, f"the factory's image is taken: {self.said()[-500:]}")

    def power_on(self, *operations):
        self.starts = self.said().count("start of slot")
        self.process = self.call("run", *self.words, *map(str, operations))

    def cut_at(self, operations, until):
        """Switched on until that operation of the flash; whether it came to it before `until`."""
        self.power_on(operations)
        wait_until("that operation, or the end of the download", lambda: self.process.poll() is not None or until())
        if self.process.poll() is None:
            self.power_off()
            return False
        ended = self.process.returncode
        check(ended == -signal.SIGKILL, f"the device dies of the power cut alone, not with {ended}")
        return True

    def power_off(self, gently=False):
        if gently:
            wait_until("the start of the device", lambda: self.said().count("start of slot") > self.starts)
        self.process.send_signal(signal.SIGTERM if gently else signal.SIGKILL)
        ended = self.process.wait(PATIENCE)
        check(ended == (0 if gently else -signal.SIGKILL), f"the device did not end by itself: {ended}")

    def said(self):
        return self.log_path.read_text(errors="replace")

    def holds(self, image):
        digest = hashlib.sha256(image).digest()
        flash = self.flash.read_bytes()
        return any(hashlib.sha256(flash[start:start + len(image)]).digest() == digest for start in SLOTS)


class Story:
    def __init__(self, platform, folder):
        self.platform, self.folder = platform, folder
        platform.order("product", "add", "File", "--key", PRODUCT_KEY)
        platform.order("device", "add", PRODUCT_KEY, NAME, "--secret", SECRET)
        self.device = Device(folder, platform)

    def image(self, version, size=200_000, verdict="works", magic=b"\xE9"):
        head = magic + f"{verdict} {version}\n".encode()
        path = self.folder / f"{version}.bin"
        path.write_bytes(head + rng.randbytes(size - len(head)))
        return path

    def roll_out(self, version, path, *terms):
        """Starts a job; what asks for the device's task."""
        return self.platform.roll_out(PRODUCT_KEY, NAME, path, version, ["--sign-method", "sha256"],
                                      ["--allow-sha256-over-mqtt", *terms])

    def runs(self, version):
        return version in str(self.platform.json("device", "show", PRODUCT_KEY, NAME))

    def upgrade(self, version, *terms):
        path = self.image(version)
        task = self.roll_out(version, path, *terms)
        wait_until(f"the upgrade to {version}", lambda: task().get("state") == "SUCCEEDED")
        check(self.device.holds(path.read_bytes()), f"a slot holds the image of {version}, byte for byte")

    def refused(self):
        task = self.roll_out("2.1.0", self.image("2.1.0", SLOT + 1), "--attempts", "1")
        wait_until("the refusal of an image that is too large", lambda: task().get("state") == "FAILED")
        check("the device's slot holds" in str(task()), f"why it is refused is told: {task()}")

    def no_image(self):
        task = self.roll_out("2.3.0", self.image("2.3.0", magic=b"?"), "--attempts", "1")
        wait_until("the end of what is no image", lambda: task().get("state") == "FAILED")
        check("ESP_ERR_OTA_VALIDATE_FAILED" in str(task()), f"why it cannot be installed is told: {task()}")

    def rolled_back(self, version="2.2.0", verdict="hangs"):
        task = self.roll_out(version, self.image(version, verdict=verdict), "--attempts", "1")
        wait_until(f"the end of an image: {verdict}", lambda: task().get("state") == "FAILED")
        check("rolled back" in str(task()), f"why it failed is told: {task()}")
        wait_until("the version before", lambda: self.runs("2.0.0"))

    def cuts(self):
        """Cuts the power in the middle of writes and erases, always with an upgrade to be done."""
        cuts, upgrades, start = 0, 0, time.monotonic()
        while cuts < options.cuts:
            upgrades += 1
            version = f"3.{upgrades}.0"
            path = self.image(version)
            way = "mqtt" if options.esp or upgrades % 3 else "http"
            task = self.roll_out(version, path, "--protocol", way, "--attempts", "10", "--retry-interval", "0", "--most-pushes", "0")
            # A start on trial that is cut three times is one that does not work: then it is left alone.
            while task().get("state") != "SUCCEEDED" and not self.on_trial(version):
                cuts += self.device.cut_at(rng.randrange(1, 120), lambda: self.on_trial(version))
                check(task().get("state") != "FAILED", f"{version} is not given up: {task()}")
            self.device.power_on()
            wait_until(f"the upgrade to {version}", lambda: task().get("state") == "SUCCEEDED", seconds=60)
            check(self.device.holds(path.read_bytes()), f"a slot holds the image of {version}, byte for byte")
            self.device.power_off(gently=True)
        starts = [line for line in self.device.said().splitlines() if "update to 3." in line]
        resumed = sum(not line.endswith("from 0") for line in starts)
        check(resumed >= cuts // 5, f"downloads go on where they were: {resumed} of {len(starts)}")
        print(f"-- power cut {cuts} times in {time.monotonic() - start:.0f} s, {upgrades} upgrades, {resumed} downloads "
              f"went on where they were; rng seed {options.seed}")

    def on_trial(self, version):
        return f"works {version}" in self.device.said()


def story(platform, folder):
    told = Story(platform, folder)
    device = told.device
    try:
        device.provision(told.image("1.0.0"))
        device.power_on()
        wait_until("the first version", lambda: told.runs("1.0.0"))
        if not options.esp:
            told.upgrade("1.5.0", "--protocol", "http")
        told.upgrade("2.0.0")
        told.refused()
        told.rolled_back()
        if options.esp:
            told.rolled_back("2.2.1", "deaf")
            told.no_image()
        device.power_off(gently=True)
        told.cuts()
        check(not FINDING.search(device.said()), "nothing is found by those who look over its shoulder")
    except BaseException:
        print("--- the device:", device.said()[-4000:], f"rng seed {options.seed}", sep="\n", file=sys.stderr)
        raise
    finally:
        if device.process and device.process.poll() is None:
            device.process.kill()


on_platform(story)
print(f"c: {passed()} passed, 0 failed")
