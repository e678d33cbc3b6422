#!/usr/bin/env bash
# Builds firmware/qemu-riscv32 and runs tests/qemu/updates.py with it.
# usage: OTARU_BIN=path/to/otaru tests/qemu/updates.sh [--upgrade-only] [RNG_SEED]
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/lib.sh
. tools/bare-metal.sh

readonly FIRMWARE=firmware/qemu-riscv32 TARGET=riscv32imc-unknown-none-elf

need_command qemu-system-riscv32 qemu-system-misc
bare_metal_compiler "$TARGET"
cargo fmt --manifest-path "$FIRMWARE/Cargo.toml" --check
cargo build --locked -q --release --manifest-path "$FIRMWARE/Cargo.toml" --target "$TARGET" "${bare_metal[@]}"
PROGRAMS=$TARGET_DIR/bare-metal/$TARGET/release
echo "bytes: bootloader $(stat -c %s "$PROGRAMS/bootloader"), application $(stat -c %s "$PROGRAMS/application")"
OTARU_BIN=${OTARU_BIN:?path of the otaru binary} PROGRAMS=$PROGRAMS PYTHONPATH=$FIRMWARE \
  python3 -m tests.qemu.updates "$@"
