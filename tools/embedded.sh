#!/usr/bin/env bash
# Proves that the pure crates need no operating system: builds them for processors without one, of which the first
# has no atomic instructions either, the strictest case. `rollout` may allocate, the others may not.
# Then it links all that a device needs, without network, and the C library, and checks how much code and memory that is.
# usage: tools/embedded.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh
. tools/bare-metal.sh

# The most bytes of code and constants that a device may need on each; whoever makes it smaller lowers them.
declare -rA MOST_CODE=([riscv32imc-unknown-none-elf]=55296 [thumbv7em-none-eabihf]=46080)
declare -rA MOST_C=([riscv32imc-unknown-none-elf]=100352 [thumbv7em-none-eabihf]=82944)
readonly TARGETS="riscv32imc-unknown-none-elf thumbv7em-none-eabihf"
readonly MOST_STATE=4096
readonly CRATES="otaru-wire otaru-mqtt otaru-device otaru-rollout"

# The sizes of the sections that stay in flash.
code_sections() {
  readelf -SW "$1" | sed 's/\[ *[0-9]*\]//' | awk '$1 ~ /^\.(text|rodata|data|ARM)/ {print $5}'
}

# The one symbol STATE is what is kept in memory.
weigh() {
  local target=$1 image=$TARGET_DIR/bare-metal/$1/release/footprint size code=0 state
  while read -r size; do code=$((code + 16#$size)); done < <(code_sections "$image")
  state=$(readelf -sW "$image" | awk '$8 == "STATE" {print $3}')
  echo "a device without network: $code bytes of code and constants (at most ${MOST_CODE[$target]}), $state bytes of state (at most $MOST_STATE) on $target"
  [ "$code" -gt 0 ] && [ "$code" -le "${MOST_CODE[$target]}" ] && [ "$state" -le "$MOST_STATE" ] ||
    die "the updater, its messages, digests, slots and one HMAC do not fit any more"
}

# The C library, linked with all of its functions and nothing else.
weigh_c() {
  local target=$1 image=$TARGET_DIR/bare-metal/$1/device/otaru.elf size code=0 functions
  RUSTFLAGS='--cfg sha2_backend_soft="compact"' cargo rustc --locked -q --profile device -p otaru-device-c --crate-type staticlib \
    --target "$target" "${bare_metal[@]}"
  functions=$(grep -oE '\<otaru_[a-z_]+\(' crates/device-c/include/otaru.h | tr -d '(' | sort -u)
  # shellcheck disable=SC2046
  "$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | awk '/^host/ {print $2}')/bin/rust-lld" -flavor gnu \
    --gc-sections -e otaru_init --defsym=abort=0 $(printf -- '-u %s ' $functions) \
    "${image%/*}/libotaru_device_c.a" -o "$image"
  while read -r size; do code=$((code + 16#$size)); done < <(code_sections "$image")
  echo "the C library: $code bytes of code and constants (at most ${MOST_C[$target]}) on $target"
  [ "$code" -gt 0 ] && [ "$code" -le "${MOST_C[$target]}" ] || die "the C library is larger than that"
}

need_command readelf binutils
# shellcheck disable=SC2086
bare_metal_compiler $TARGETS
cargo fmt --manifest-path tools/footprint/Cargo.toml --check
for target in $TARGETS; do
  for crate in $CRATES; do
    cargo build --locked -q -p "$crate" --target "$target" "${bare_metal[@]}"
    echo "$crate builds for $target"
  done
  RUSTFLAGS='--cfg sha2_backend_soft="compact" -Cllvm-args=--enable-machine-outliner=always -Clink-arg=--icf=all' \
    cargo build --locked -q --release \
    --manifest-path tools/footprint/Cargo.toml --target "$target" "${bare_metal[@]}"
  weigh "$target"
  weigh_c "$target"
done
