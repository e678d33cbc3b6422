"""Updates of the firmware in firmware/qemu-riscv32, on QEMU, from a real `otaru serve`.

One full upgrade, timed; images that do not work, which the machine must leave again by itself and report; and then
upgrade after upgrade while the machine is killed at random moments. Each of them must end on the new version.

usage: OTARU_BIN=... PROGRAMS=... PYTHONPATH=firmware/qemu-riscv32 python3 -m tests.qemu.updates [--upgrade-only] [RNG_SEED]
"""

import argparse
import collections
import random
import re
import sys
import time

from machine import Machine, application
from tests.harness import check, on_platform, passed, wait_until

PRODUCT_KEY, DEVICE, SECRET = "a1TestPk001", "qemu-0001", "0123456789abcdef0123456789abcdef"
KILLS = 60
parser = argparse.ArgumentParser()
parser.add_argument("--upgrade-only", action="store_true", help="only the one that is timed")
parser.add_argument("seed", metavar="RNG_SEED", type=int, nargs="?", default=random.randrange(1 << 32))
ARGUMENTS = parser.parse_args()
SEED = ARGUMENTS.seed
rng = random.Random(SEED)

# What starts and does not work: an instruction that there is not, and one that jumps to itself.
CRASHES, HANGS = bytes(4), bytes([0x6F, 0, 0, 0])


class Story:
    def __init__(self, platform, folder):
        self.platform, self.folder = platform, folder
        platform.order("product", "add", "Board", "--key", PRODUCT_KEY)
        platform.order("device", "add", PRODUCT_KEY, DEVICE, "--secret", SECRET)
        self.machine = Machine(folder, f"10.0.2.2:{platform.port}", PRODUCT_KEY, DEVICE, SECRET)
        self.serial = open(folder / "serial.log", "w+")

    def said(self):
        return (self.folder / "serial.log").read_text(errors="replace")

    def roll_out(self, version, image, *terms):
        """Starts a job, and returns what asks for the device's task."""
        path = self.folder / "image.bin"
        path.write_bytes(image)
        return self.platform.roll_out(PRODUCT_KEY, DEVICE, path, version, ["--sign-method", "sha256"],
                                      ["--allow-sha256-over-mqtt", *terms])

    def runs(self, version):
        device = self.platform.json("device", "show", PRODUCT_KEY, DEVICE)
        return version in str(device)

    def full(self):
        size = 1 << 20
        task = self.roll_out("2.0.0", padded("2.0.0", size))
        start = time.monotonic()
        wait_until("the upgrade", lambda: task().get("state") == "SUCCEEDED", seconds=90)
        self.seconds = time.monotonic() - start
        print(f"-- 1 MiB in {self.seconds:.1f} s, from the order to the report of the new version")
        check("application 2.0.0" in self.said() and "confirmed" in self.said(), "2.0.0 runs and confirmed itself")

    def bad(self, version, what, image):
        task = self.roll_out(version, image, "--attempts", "1")
        wait_until(f"the end of {version}", lambda: task().get("state") == "FAILED", seconds=90)
        print(f"-- {version} {what}: {task()}")
        check("rolled back" in str(task()), "why it failed is told")
        check(f"application {version}" not in self.said(), "it never came to work")
        wait_until("the version before", lambda: self.runs("2.0.0"))

    def kills(self):
        """Cuts the power again and again, always with an upgrade to be done."""
        task, upgrades, moments, start = None, 0, collections.Counter(), time.monotonic()
        for _ in range(KILLS):
            if task is None or task()["state"] == "SUCCEEDED":
                upgrades += 1
                version = f"3.{upgrades}.0"
                task = self.roll_out(version, padded(version, rng.randrange(300_000, 1_500_000)), "--attempts", "10",
                                     "--retry-interval", "0", "--most-pushes", "0")
            # At any moment from the start to the end of an upgrade, on a slow computer too.
            time.sleep(rng.uniform(0, min(1.5 * self.seconds, 5)))
            self.machine.power_off()
            moments[self.last_word()] += 1
            check(task()["state"] != "FAILED", f"{version} is not given up: {task()}")
            self.machine.power_on(self.serial)
        wait_until(version, lambda: task()["state"] == "SUCCEEDED", seconds=90)
        check(self.runs(version) and f"application {version}" in self.said(), f"{version} runs")
        took = time.monotonic() - start
        print(f"-- killed {KILLS} times in {took:.0f} s, {upgrades} upgrades; rng seed {SEED}")
        check(took < 600, "within ten minutes")
        words = ", ".join(f"{word} {count}" for word, count in moments.most_common())
        print(f"-- {self.resumed()} downloads went on where they were; last words: {words}")

    def resumed(self):
        """How often a download went on where it was."""
        starts = [line for line in self.said().splitlines() if line.startswith("update to")]
        return sum(not line.endswith("from 0") for line in starts)

    def last_word(self):
        """What the machine said last before the power went, without what differs from time to time."""
        lines = self.said().splitlines()
        return re.sub(r"[:\d].*", "", lines[-1]).strip() if lines else "nothing"


def padded(version, size):
    """An image as large as that."""
    image = application(version)
    return image + rng.randbytes(size - len(image))


def story(platform, folder):
    told = Story(platform, folder)
    try:
        told.machine.power_on(told.serial)
        wait_until("the first version", lambda: told.runs("1.0.0"))
        told.full()
        if not ARGUMENTS.upgrade_only:
            told.bad("2.1.0", "crashes", CRASHES * 20_000)
            told.bad("2.2.0", "hangs", HANGS + rng.randbytes(80_000))
            told.kills()
    except BaseException:
        print("--- the machine's serial line:", told.said()[-3000:], f"rng seed {SEED}", sep="\n", file=sys.stderr)
        raise
    finally:
        told.machine.power_off()


on_platform(story)
print(f"qemu: {passed()} passed, 0 failed")
