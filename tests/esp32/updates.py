"""Updates of firmware/esp32c3 from a real `otaru serve`: its logic as the program `desk`, over a flash that Espressif's
tools have made, with the images that are built for the chip. No chip is there.

The full upgrade of docs/guide-esp32.md; images that do not work, which the device must leave again by itself and
report; files that are no images; the microcontroller's module; and upgrades while the power is cut at random moments.

usage: OTARU_BIN=... DESK=... FLASH=... IMAGE=... NEXT_IMAGE=... SETTINGS=... python3 -m tests.esp32.updates [RNG_SEED]
"""

import hashlib
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time

from tests.harness import check, on_platform, passed, wait_until

PRODUCT_KEY, DEVICE, SECRET = "a1TestPk001", "lamp-0001", "0123456789abcdef0123456789abcdef"
SETTINGS, SETTINGS_AT = pathlib.Path(os.environ["SETTINGS"]), 0x9000
IMAGE, NEXT_IMAGE = (pathlib.Path(os.environ[name]).read_bytes() for name in ["IMAGE", "NEXT_IMAGE"])
KILLS = 15
SEED = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(1 << 32)
rng = random.Random(SEED)


def image(version):
    """The firmware as another version: one XOR over all segments and the digest change with it."""
    changed, at = bytearray(IMAGE), slice(48, 80)
    changed[at] = version.encode().ljust(32, b"\0")
    for byte in IMAGE[at] + changed[at]:
        changed[-33] ^= byte
    changed[-32:] = hashlib.sha256(changed[:-32]).digest()
    return bytes(changed)


def part_image(desk, version):
    """An image for the part behind the serial line."""
    return subprocess.run([desk, "--part-image", version], check=True, capture_output=True).stdout


class Story:
    def __init__(self, platform, folder):
        self.platform, self.folder, self.process = platform, folder, None
        self.flash, self.serial = folder / "flash.bin", open(folder / "serial.log", "w+")
        platform.order("product", "add", "Street lamp", "--key", PRODUCT_KEY)
        platform.order("module", "add", PRODUCT_KEY, "MCU", "--alias", "Motor controller")
        platform.order("device", "add", PRODUCT_KEY, DEVICE, "--secret", SECRET)
        shutil.copy(os.environ["FLASH"], self.flash)
        self.write_settings()

    def write_settings(self):
        """The settings of the guide, for this platform."""
        rows = SETTINGS.read_text().replace("192.168.1.10", "127.0.0.1").replace("1883", str(self.platform.port))
        (self.folder / "settings.csv").write_text(rows)
        subprocess.run([sys.executable, "-m", "esp_idf_nvs_partition_gen", "generate", "settings.csv", "settings.bin",
                        "0x6000"], cwd=self.folder, check=True, capture_output=True)
        flash = bytearray(self.flash.read_bytes())
        settings = (self.folder / "settings.bin").read_bytes()
        flash[SETTINGS_AT:SETTINGS_AT + len(settings)] = settings
        self.flash.write_bytes(flash)

    def power_on(self, *more):
        words = ["--crashes", "2.0.0", "--deaf", "2.1.0", "--part", "5.0.0", "--part", "5.1.0", *more]
        self.process = subprocess.Popen([os.environ["DESK"], self.flash, *words], stdout=self.serial,
                                        stderr=subprocess.STDOUT)

    def power_off(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def said(self):
        return (self.folder / "serial.log").read_text(errors="replace")

    def roll_out(self, version, file, *terms, module="default"):
        """Starts a job, and returns what asks for the device's task."""
        path = self.folder / "image.bin"
        path.write_bytes(file)
        package = self.platform.json("package", "add", PRODUCT_KEY, str(path), "--version", version, "--module", module,
                                     "--no-verify", "--accept-image-version")
        job = self.platform.json("job", "start", package["id"], "--device", DEVICE, "--protocol", "mqtt",
                                 *terms)["job"]["id"]
        return lambda: next(iter(self.platform.json("job", "tasks", job)), {})

    def runs(self, version):
        return version in str(self.platform.json("device", "show", PRODUCT_KEY, DEVICE)["versions"])

    def full(self):
        task, start = self.roll_out("1.1.0", NEXT_IMAGE), time.monotonic()
        wait_until("the upgrade", lambda: task().get("state") == "SUCCEEDED", seconds=60)
        self.seconds = time.monotonic() - start
        print(f"-- {len(NEXT_IMAGE)} bytes in {self.seconds:.1f} s, from the order to the report of the new version")
        check("firmware 1.1.0, in ota_1" in self.said() and "confirmed" in self.said(), "1.1.0 confirmed itself")

    def bad(self, version, file, *told):
        task = self.roll_out(version, file, "--attempts", "1")
        wait_until(f"the end of {version}", lambda: task().get("state") == "FAILED", seconds=60)
        print(f"-- {version}: {task()['deviceError']}")
        check(all(word in str(task()) for word in told), f"why {version} failed is told: {task()}")
        wait_until("the version before", lambda: self.runs("1.1.0"))

    def part(self):
        for version in ["5.0.0", "5.1.0"]:
            task = self.roll_out(version, part_image(os.environ["DESK"], version), module="MCU")
            wait_until(f"the part's {version}", lambda: task().get("state") == "SUCCEEDED", seconds=60)
            check(self.runs(version) and self.runs("1.1.0"), "both modules are known")
            print(f"-- the part runs {version}")

    def drops(self):
        """The network goes away again and again."""
        self.power_off()
        self.power_on("--drops", "2000")
        before, task = self.said().count("there is no connection"), self.roll_out("2.4.0", image("2.4.0"))
        wait_until("the upgrade", lambda: task().get("state") == "SUCCEEDED", seconds=60)
        drops = self.said().count("there is no connection") - before
        check(drops > 0, "the connection was gone meanwhile")
        print(f"-- 2.4.0, with the connection gone {drops} times")

    def kills(self):
        """Cuts the power again and again, always with an upgrade to be done."""
        task, upgrades, start = None, 0, time.monotonic()
        for _ in range(KILLS):
            if task is None or task()["state"] == "SUCCEEDED":
                upgrades += 1
                version = f"3.{upgrades}.0"
                # With this bootloader a cut between restart and confirmation ends an attempt.
                task = self.roll_out(version, image(version), "--attempts", "20", "--retry-interval", "0",
                                     "--most-pushes", "0")
            # At any moment from the start to the end of an upgrade, on a slow computer too.
            time.sleep(rng.uniform(0, min(1.5 * self.seconds + 1, 5)))
            self.power_off()
            check(task()["state"] != "FAILED", f"{version} is not given up: {task()}")
            self.power_on()
        wait_until(version, lambda: task()["state"] == "SUCCEEDED", seconds=90)
        check(self.runs(version), f"{version} runs")
        starts = [line for line in self.said().splitlines() if line.startswith("update of default")]
        resumed = sum(not line.endswith("from 0") for line in starts)
        print(f"-- power cut {KILLS} times in {time.monotonic() - start:.0f} s, {upgrades} upgrades, {resumed} downloads "
              f"went on where they were; rng seed {SEED}")


def story(platform, folder):
    told = Story(platform, folder)
    try:
        told.power_on()
        wait_until("the first version", lambda: told.runs("1.0.0"))
        told.full()
        told.bad("2.0.0", image("2.0.0"), "rolled back")
        told.bad("2.1.0", image("2.1.0"), "rolled back")
        told.bad("2.2.0", b"\x7fELF" + rng.randbytes(50_000), "the file is no image")
        told.bad("2.3.0", image("1.0.0"), "the image says that it is version 1.0.0")
        told.part()
        told.drops()
        told.kills()
    except BaseException:
        print("--- the device said:", told.said()[-3000:], f"rng seed {SEED}", sep="\n", file=sys.stderr)
        raise
    finally:
        told.power_off()


on_platform(story)
print(f"esp32: {passed()} passed, 0 failed")
