#!/usr/bin/env bash
# Tests and builds firmware/esp32c3 with the commands of docs/guide-esp32.md, checks the image, and runs
# tests/esp32/updates.py with it, which runs those to the platform. Left out are the commands that install tools, start
# `otaru serve`, or need ESP-IDF or a board.
# usage: OTARU_BIN=path/to/otaru tests/esp32/updates.sh [RNG_SEED]
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/lib.sh
. tools/bare-metal.sh

readonly FIRMWARE=firmware/esp32c3 TARGET=riscv32imc-unknown-none-elf
readonly SLOT=$((0x180000)) # of partitions.csv
readonly LEAST_STACK=$((48 << 10))
HOME_BEFORE=$HOME
export CARGO_HOME=${CARGO_HOME:-$HOME_BEFORE/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$HOME_BEFORE/.rustup}

need_command readelf binutils
python_env
HOME=$(mktemp -d)
trap 'rm -rf "$HOME"' EXIT
export HOME PATH="$PYTHON_ENV/bin:$HOME/bin:$PATH"
mkdir "$HOME/lamp" "$HOME/bin"
ln -s "${OTARU_BIN:?path of the otaru binary}" "$HOME/bin/otaru"
ln -s "$TARGET_DIR/bare-metal" "$HOME/lamp/target"

# shown COMMAND: runs what stands in both guides.
shown() {
  local guide
  for guide in docs/guide-esp32.md docs/guide-esp32.zh-CN.md; do
    grep -qxF -- "$1" "$guide" || die "$guide does not show the command: $1"
  done
  echo "-- $1"
  (cd "$FIRMWARE" && eval "$1") >"$HOME/out" 2>&1 || {
    cat "$HOME/out" >&2
    die "this command of the guide fails: $1"
  }
}

# build VERSION: with the library built anew where the compiler brings none for the target.
build() {
  local std=()
  [ -z "${RUSTC:-}" ] || std=(CARGO_UNSTABLE_BUILD_STD=core,alloc)
  export "${std[@]}" CARGO_TERM_QUIET=true
  shown "FIRMWARE_VERSION=$1 cargo build --release --target $TARGET --target-dir ~/lamp/target"
  unset CARGO_UNSTABLE_BUILD_STD
  shown "esptool --chip esp32c3 elf2image --flash-mode dio --flash-size 4MB --flash-freq 80m -o ~/lamp/lamp-$1.bin ~/lamp/target/$TARGET/release/otaru-esp32c3"
  shown "esptool --chip esp32c3 image-info ~/lamp/lamp-$1.bin"
  grep -q "^Checksum: .*(valid)" "$HOME/out" && grep -q "^Validation hash: .*(valid)" "$HOME/out" &&
    grep -q "^App version: $1\$" "$HOME/out" || die "esptool finds the image wrong: $(cat "$HOME/out")"
}

# weigh: bytes of the image, of memory that is taken from the start, and what is left for the stack.
weigh() {
  local elf=$HOME/lamp/target/$TARGET/release/otaru-esp32c3 image memory stack
  image=$(stat -c %s "$HOME/lamp/lamp-1.1.0.bin")
  memory=0
  while read -r size; do memory=$((memory + 16#$size)); done < <(
    readelf -SW "$elf" | sed 's/\[ *[0-9]*\]//' | awk '$1 ~ /^\.(trap|rwtext|data|bss)/ {print $5}'
  )
  stack=$((16#$(readelf -SW "$elf" | sed 's/\[ *[0-9]*\]//' | awk '$1 == ".stack" {print $5}')))
  echo "image: $image bytes (a slot has $SLOT); memory: $memory bytes with the heap, $stack left for the stack (at least $LEAST_STACK)"
  [ "$image" -le "$SLOT" ] && [ "$stack" -ge "$LEAST_STACK" ] || die "the firmware does not fit any more"
}

cargo fmt --manifest-path "$FIRMWARE/Cargo.toml" --all --check
cargo clippy --locked -q --manifest-path "$FIRMWARE/Cargo.toml" -p otaru-esp32-logic --all-targets \
  --target-dir "$TARGET_DIR/bare-metal" -- -D warnings
cargo test --locked -q --manifest-path "$FIRMWARE/Cargo.toml" -p otaru-esp32-logic --target-dir "$TARGET_DIR/bare-metal"
shown "cargo run -p otaru-esp32-logic --example partition_table --target-dir ~/lamp/target partitions.csv ~/lamp/partition-table.bin"
shown "python3 -m esp_idf_nvs_partition_gen generate settings.csv ~/lamp/settings.bin 0x6000"
shown "otaru sim flash --partitions partitions.csv"
DESK=$TARGET_DIR/bare-metal/debug/examples/desk

bare_metal_compiler "$TARGET"
build 1.0.0
build 1.1.0
weigh
# What `write-flash` puts on a board, but for the bootloader.
esptool --chip esp32c3 merge-bin -o "$HOME/flash.bin" --pad-to-size 4MB 0x8000 "$HOME/lamp/partition-table.bin" \
  0x9000 "$HOME/lamp/settings.bin" 0x20000 "$HOME/lamp/lamp-1.0.0.bin" >/dev/null
SETTINGS=$FIRMWARE/settings.csv DESK=$DESK FLASH=$HOME/flash.bin IMAGE=$HOME/lamp/lamp-1.0.0.bin \
  NEXT_IMAGE=$HOME/lamp/lamp-1.1.0.bin python3 -m tests.esp32.updates "$@"
