#!/usr/bin/env bash
# Makes the Arduino library Otaru out of the C library.
# usage: examples/arduino/make-library.sh CHIP LIBRARY FOLDER    such as esp32c3 libotaru_device_c.a ~/Arduino/libraries
set -euo pipefail
[ $# = 3 ] || { sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 2; }
root=$(cd "$(dirname "$0")/../.." && pwd)
library=$3/Otaru
mkdir -p "$library/src/$1"
cp "$root"/crates/device-c/include/otaru.h "$root"/examples/esp32/otaru_esp.[ch] "$library/src/"
cp "$2" "$library/src/$1/libotaru_device_c.a"
cat >"$library/library.properties" <<'PROPERTIES'
name=Otaru
version=0.1.0
author=Otaru
maintainer=Otaru
sentence=Firmware updates from an Otaru platform.
paragraph=Blocks over MQTT, which go on after a power cut.
category=Communication
url=https://example.invalid/
architectures=esp32
includes=otaru.h,otaru_esp.h
precompiled=true
ldflags=-lotaru_device_c
PROPERTIES
echo "$library"
