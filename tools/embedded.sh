#!/usr/bin/env bash
# Proves that the pure crates need no operating system: builds them for a processor without one
# (and without atomic instructions, the strictest case). `rollout` may allocate, the others may not.
# Then it links all that a device needs, without network, and checks how much code and memory that is.
# usage: tools/embedded.sh
#
# The target's library comes from rustup. Where rustup cannot fetch it, a compiler of Debian with its
# matching library source does the same; it is unpacked into the target folder, not installed.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

readonly TARGET=riscv32imc-unknown-none-elf
readonly CRATES="otaru-wire otaru-mqtt otaru-device otaru-rollout"

debian_compiler() {
  local prefix=$TOOLS_DIR/bare-metal version upstream series llvm deb
  command -v apt-get >/dev/null || die "rustup could not add the target $TARGET, and this is no Debian to take a compiler from"
  debian_lists
  version=$(apt-cache policy rustc-web | awk '/Candidate/ {print $2}')
  [ -n "$version" ] || die "rustup could not add the target $TARGET, and Debian's package rustc-web is not known here"
  if [ "$(cat "$prefix/version" 2>/dev/null)" != "$version" ]; then
    rm -rf "$prefix"
    mkdir -p "$prefix/deb" "$prefix/root"
    upstream=${version%%+*}
    series=${upstream%.*}
    llvm=$(apt-cache show "libstd-rust-web-$series=$version" | grep -om1 'libllvm[0-9]*')
    (
      cd "$prefix/deb"
      apt-get download -qq "rustc-web=$version" "libstd-rust-web-$series=$version" \
        "libstd-rust-web-dev=$version" "rust-web-src=$version" "$llvm" 2>&1 | grep -v '_apt' >&2 || true
      for deb in *.deb; do
        case $deb in
          rust-web-src_*) dpkg-deb --fsys-tarfile "$deb" | tar x -C ../root "./usr/src/rustc-$upstream/library" ;;
          *) dpkg-deb --fsys-tarfile "$deb" | tar x -C ../root --exclude='./usr/share/*' ;;
        esac
      done
    )
    mkdir -p "$prefix/root/usr/lib/rustlib/src"
    ln -s "../../../src/rustc-$upstream" "$prefix/root/usr/lib/rustlib/src/rust"
    rm -r "$prefix/deb"
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s/usr/lib/x86_64-linux-gnu exec %s/usr/bin/rustc "$@"\n' \
      "$prefix/root" "$prefix/root" >"$prefix/rustc"
    chmod +x "$prefix/rustc"
    echo "$version" >"$prefix/version"
  fi
  export RUSTC=$prefix/rustc RUSTC_BOOTSTRAP=1
}

build_std=()
if rustup target add "$TARGET" >/dev/null 2>&1; then
  echo "compiler: $(rustc --version), target from rustup"
else
  debian_compiler
  build_std=("-Zbuild-std=core,alloc")
  echo "compiler: $("$RUSTC" --version) of Debian, with its library source"
fi

for crate in $CRATES; do
  cargo build --locked -q -p "$crate" --target "$TARGET" --target-dir "$TARGET_DIR/bare-metal" "${build_std[@]}"
  echo "$crate builds for $TARGET"
done

# What a device may cost at most, in bytes. Whoever makes it smaller lowers the first one.
readonly MOST_CODE=65536 MOST_STATE=4096

need_command readelf binutils
cargo fmt --manifest-path tools/footprint/Cargo.toml --check
RUSTFLAGS='--cfg sha2_backend_soft="compact"' cargo build --locked -q --release --manifest-path tools/footprint/Cargo.toml --target "$TARGET" \
  --target-dir "$TARGET_DIR/bare-metal" "${build_std[@]}"
# Sections that stay in flash are code and constants; the one symbol STATE is what is kept in memory.
image=$TARGET_DIR/bare-metal/$TARGET/release/footprint
code=0
while read -r size; do code=$((code + 16#$size)); done < <(
  readelf -SW "$image" | sed 's/\[ *[0-9]*\]//' | awk '$1 ~ /^\.(text|rodata|data)/ {print $5}'
)
state=$(readelf -sW "$image" | awk '$8 == "STATE" {print $3}')
echo "a device without network: $code bytes of code and constants (at most $MOST_CODE), $state bytes of state (at most $MOST_STATE) on $TARGET"
[ "$code" -gt 0 ] && [ "$code" -le "$MOST_CODE" ] && [ "$state" -le "$MOST_STATE" ] ||
  die "the updater, its messages, digests, slots and one HMAC do not fit any more"
