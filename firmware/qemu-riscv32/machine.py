"""A QEMU machine `virt` (riscv32) with the two programs of this folder in its flash.

usage: python3 machine.py --folder F --platform HOST:PORT --product-key PK --device-name DN --secret S
       python3 machine.py --image 2.0.0 > application-2.0.0.bin

The first makes the flash in folder F if there is none yet, and switches the machine on; its serial line is the
terminal. Ctrl-C cuts the power; run it again and the machine goes on with the flash as it was. For the machine,
127.0.0.1 of this computer is 10.0.2.2. The second writes the application as another version, to be rolled out.
"""

import argparse
import hashlib
import os
import pathlib
import struct
import subprocess
import sys
import zlib

PROGRAMS = pathlib.Path(os.environ.get("PROGRAMS", pathlib.Path(__file__).parent / "target" /
                                       "riscv32imc-unknown-none-elf" / "release"))
FLASH = 32 << 20  # bytes of each flash, as QEMU wants them
SECTOR = 256 << 10
SETTINGS, LOG, SLOT_A = 0, 1 * SECTOR, 5 * SECTOR  # as in src/layout.rs
VERSION = b"version of the image: "  # as in src/machine.rs, 64 bytes with what follows


def application(version):
    """The application, as this version."""
    image = (PROGRAMS / "application").read_bytes()
    at = image.index(VERSION)
    assert image.count(VERSION) == 1 and len(version) <= 64 - len(VERSION), "one version, and not a long one"
    return image[:at] + (VERSION + version.encode()).ljust(64) + image[at + 64:]


def log_entry(number, image):
    """An entry of the boot log: this image is in slot A, confirmed (docs/device-flash.md)."""
    content = bytes([1, 1, 0, 0]) + struct.pack("<I", len(image)) + hashlib.sha256(image).digest()[:16] + bytes(20)
    entry = struct.pack("<I", number) + content
    return entry + struct.pack("<I", zlib.crc32(entry))


class Machine:
    """A machine whose flash is in a folder. The power can be cut at any moment, without a word to it."""

    def __init__(self, folder, platform, product_key, device_name, secret, version="1.0.0"):
        self.boot, self.flash, self.process = folder / "boot.bin", folder / "flash.bin", None
        self.boot.write_bytes((PROGRAMS / "bootloader").read_bytes().ljust(FLASH, b"\xff"))
        if self.flash.exists():
            return
        image, settings = application(version), "\n".join([platform, product_key, device_name, secret])
        flash = bytearray(b"\xff" * FLASH)
        for at, part in [(SETTINGS, settings.encode()), (LOG, log_entry(1, image) + log_entry(2, image)), (SLOT_A, image)]:
            flash[at:at + len(part)] = part
        self.flash.write_bytes(flash)

    def power_on(self, serial=None):
        """Switches it on. What it says goes to a file, or to the terminal."""
        words = ["-M", "virt", "-m", "16M", "-bios", "none", "-display", "none", "-monitor", "none", "-serial", "stdio",
                 "-global", "virtio-mmio.force-legacy=false",
                 "-drive", f"if=pflash,unit=0,format=raw,file={self.boot},readonly=on",
                 "-drive", f"if=pflash,unit=1,format=raw,file={self.flash}",
                 "-netdev", "user,id=net", "-device", "virtio-net-device,netdev=net"]
        self.process = subprocess.Popen(["qemu-system-riscv32", *words], stdin=subprocess.DEVNULL, stdout=serial)

    def power_off(self):
        """Cuts the power."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--image", metavar="VERSION")
    arguments.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("."))
    for name in ["platform", "product-key", "device-name", "secret"]:
        arguments.add_argument(f"--{name}")
    given = arguments.parse_args()
    if given.image:
        sys.stdout.buffer.write(application(given.image))
        return
    machine = Machine(given.folder, given.platform, given.product_key, given.device_name, given.secret)
    machine.power_on()
    try:
        machine.process.wait()
    except KeyboardInterrupt:
        machine.power_off()


if __name__ == "__main__":
    main()
