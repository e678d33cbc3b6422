# shellcheck shell=bash
# A compiler for processors without an operating system; to be sourced after tools/lib.sh, from the root of the checkout.
#
# The library of the targets comes from rustup. Where rustup cannot fetch it, a compiler of Debian with its matching
# library source does the same; it is unpacked into the target folder, not installed.

debian_compiler() {
  local prefix=$TOOLS_DIR/bare-metal version upstream series llvm deb
  command -v apt-get >/dev/null || die "rustup could not add the targets $*, and this is no Debian to take a compiler from"
  debian_lists
  version=$(apt-cache policy rustc-web | awk '/Candidate/ {print $2}')
  [ -n "$version" ] || die "rustup could not add the targets $*, and Debian's package rustc-web is not known here"
  if [ "$(cat "$prefix/version" 2>/dev/null)" != "$version" ]; then
    rm -rf "$prefix"
    mkdir -p "$prefix/deb" "$prefix/root"
    upstream=${version%%+*}
    series=${upstream%.*}
    llvm=$(apt-cache show "libstd-rust-web-$series=$version" |
      awk '!found && match($0, /libllvm[0-9]+/) {print substr($0, RSTART, RLENGTH); found = 1}')
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
  # Debian's has no linker for other processors; that of the usual compiler has.
  PATH=$PATH:$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | awk '/^host/ {print $2}')/bin
  export PATH RUSTC=$prefix/rustc RUSTC_BOOTSTRAP=1
}

# bare_metal_compiler TARGET...: chooses the compiler. What `cargo build` needs beside `--target` is in `bare_metal`.
bare_metal_compiler() {
  bare_metal=(--target-dir "$TARGET_DIR/bare-metal")
  if rustup target add "$@" >/dev/null 2>&1; then
    echo "compiler: $(rustc --version), targets from rustup"
  else
    debian_compiler "$@"
    bare_metal+=("-Zbuild-std=core,alloc")
    echo "compiler: $("$RUSTC" --version) of Debian, with its library source"
  fi
}
