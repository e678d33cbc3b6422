"""Updates of firmware/esp32c3 from a real `otaru serve`: its logic as the program `desk`, over a flash that Espressif's
tools have made, with the images that are built for the chip. No chip is there.

The full upgrade of docs/guide-esp32.md and that of the microcontroller, with the guide's own commands; images that do
not work, which the device must leave again by itself and report; files that are no images; and upgrades while the power
is cut at random moments.

usage: OTARU_BIN=... DESK=... FLASH=... IMAGE=... NEXT_IMAGE=... SETTINGS=... python3 -m tests.esp32.updates [RNG_SEED]
"""

import hashlib
import os
import pathlib
import random
import re
import subprocess
import sys
import time

from tests.harness import check, on_platform, passed, wait_until

PRODUCT_KEY, DEVICE, SECRET = "a1TestPk001", "lamp-0001", "0123456789abcdef0123456789abcdef"
SETTINGS, FLASH, SETTINGS_AT = pathlib.Path(os.environ["SETTINGS"]), pathlib.Path(os.environ["FLASH"]), 0x9000
IMAGE, NEXT_IMAGE = (pathlib.Path(os.environ[name]).read_bytes() for name in ["IMAGE", "NEXT_IMAGE"])
GUIDES = [pathlib.Path("docs", name) for name in ["guide-esp32.md", "guide-esp32.zh-CN.md"]]
LAMP = pathlib.Path.home() / "lamp"
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


def in_guides(line):
    """The line, which both guides must show."""
    for guide in GUIDES:
        check(line in guide.read_text().splitlines(), f"{guide} shows: {line}")
    return line


class Story:
    def __init__(self, platform, folder):
        self.platform, self.folder, self.process = platform, folder, None
        self.flash, self.serial = folder / "flash.bin", open(folder / "serial.log", "w+")
        self.shown('otaru product add "Street lamp" --key a1TestPk001')
        self.shown('otaru module add a1TestPk001 MCU --alias "Motor controller"')
        self.shown("otaru device add a1TestPk001 lamp-0001 --secret 0123456789abcdef0123456789abcdef")
        self.shown("otaru certs new --name 192.168.1.10", data=folder / "otaru-data")
        self.shown("cp otaru-data/tls/ca.pem ~/lamp/ca.pem")
        self.make_flash(self.flash, DEVICE)

    def shown(self, command, data=None, **ids):
        """Runs a command of the guides, with these ids and in this data folder; what it prints."""
        in_guides(command)
        for kind, id in ids.items():
            command = command.replace(f"{kind}_…", id)
        print(f"-- {command}")
        env = self.platform.env | ({"OTARU_DATA": str(data)} if data else {})
        done = subprocess.run(command, shell=True, cwd=self.folder, env=env, capture_output=True, text=True)
        check(done.returncode == 0, f"{command}: {done.stdout}{done.stderr}")
        return done.stdout

    def make_flash(self, flash, device):
        """Version 1.0.0, with the settings of the guide for this platform, and a CA, though nobody here speaks TLS."""
        ca = in_guides("ca,file,string,/home/you/lamp/ca.pem").replace("/home/you/lamp", str(LAMP))
        rows = SETTINGS.read_text().replace("192.168.1.10", "127.0.0.1").replace("1883", str(self.platform.port))
        (self.folder / "settings.csv").write_text(rows.replace(DEVICE, device) + ca + "\n")
        self.shown("python3 -m esp_idf_nvs_partition_gen generate settings.csv ~/lamp/settings.bin 0x6000")
        settings, contents = (LAMP / "settings.bin").read_bytes(), bytearray(FLASH.read_bytes())
        contents[SETTINGS_AT:SETTINGS_AT + len(settings)] = settings
        flash.write_bytes(contents)

    def power_on(self, *more):
        words = ["--crashes", "2.0.0", "--deaf", "2.1.0", "--part", "1.1.0", "--part", "5.1.0", *more]
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
        return self.platform.roll_out(PRODUCT_KEY, DEVICE, path, version, ["--module", module, "--accept-image-version"],
                                      ["--protocol", "mqtt", *terms])

    def runs(self, version, module="default", device=DEVICE):
        versions = self.platform.json("device", "show", PRODUCT_KEY, device)["versions"]
        return any(of["module"] == module and of["version"] == version for of in versions)

    def verify(self, package):
        """Verifies the package that the command added on the device; its id."""
        package = re.search(r"pkg_\w+", package)[0]
        job = re.search(r"job_\w+", self.shown("otaru job verify pkg_… lamp-0001 --protocol mqtt", pkg=package))[0]
        self.shown("otaru job watch job_…", job=job)
        return package

    def full(self):
        start = time.monotonic()
        package = self.verify(self.shown("otaru package add a1TestPk001 ~/lamp/lamp-1.1.0.bin --version 1.1.0"))
        self.seconds = time.monotonic() - start
        check(self.runs("1.1.0"), "the device runs 1.1.0")
        self.fleet(package)
        print(f"-- {len(NEXT_IMAGE)} bytes in {self.seconds:.1f} s, from the order to the report of the new version")
        check("firmware 1.1.0, in ota_1" in self.said() and "confirmed" in self.said(), "1.1.0 confirmed itself")

    def fleet(self, package):
        """The rest of the fleet, which is one more device."""
        flash, device = self.folder / "flash-2.bin", "lamp-0002"
        self.platform.order("device", "add", PRODUCT_KEY, device, "--secret", SECRET)
        self.make_flash(flash, device)
        with subprocess.Popen([os.environ["DESK"], flash], stdout=subprocess.DEVNULL) as process:
            try:
                wait_until("the first version", lambda: self.runs("1.0.0", device=device))
                job = self.shown("otaru job start pkg_… --all --protocol mqtt", pkg=package)
                self.shown("otaru job watch job_…", job=re.search(r"job_\w+", job)[0])
            finally:
                process.kill()
        check(self.runs("1.1.0", device=device), "the fleet runs 1.1.0")

    def bad(self, version, file, *told):
        task = self.roll_out(version, file, "--attempts", "1")
        wait_until(f"the end of {version}", lambda: task().get("state") == "FAILED", seconds=60)
        print(f"-- {version}: {task()['deviceError']}")
        check(all(word in str(task()) for word in told), f"why {version} failed is told: {task()}")
        wait_until("the version before", lambda: self.runs("1.1.0"))

    def part(self):
        (self.folder / "mcu.bin").write_bytes(part_image(os.environ["DESK"], "1.1.0"))
        self.verify(self.shown("otaru package add a1TestPk001 mcu.bin --version 1.1.0 --module MCU"))
        check(self.runs("1.1.0", "MCU") and self.runs("1.1.0"), "both modules are known")
        task = self.roll_out("5.1.0", part_image(os.environ["DESK"], "5.1.0"), module="MCU")
        wait_until("the part's 5.1.0", lambda: task().get("state") == "SUCCEEDED", seconds=60)
        check(self.runs("5.1.0", "MCU") and self.runs("1.1.0"), "both modules are known")

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
