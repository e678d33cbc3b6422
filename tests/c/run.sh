#!/usr/bin/env bash
# The C interface, used by programs in C: plain, under AddressSanitizer and UndefinedBehaviorSanitizer, under valgrind.
# usage: OTARU_BIN=path/to/otaru tests/c/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/lib.sh

: "${OTARU_BIN:?path of the otaru binary}"
readonly OUT=$TARGET_DIR/c
readonly STRICT=(-std=c99 -Wall -Wextra -Werror -pedantic -g -O1 -Icrates/device-c/include)
readonly SYSTEM=(-lpthread -ldl -lm)
readonly SANITIZERS=(-fsanitize=address,undefined -fno-sanitize-recover=all)
readonly VALGRIND=(valgrind -q --error-exitcode=99 --leak-check=full)

cargo build --locked -q -p otaru-device-c
readonly LIBRARY=$TARGET_DIR/debug/libotaru_device_c.a
mkdir -p "$OUT"

# compile NAME SUFFIX FLAG...
compile() {
  gcc "${STRICT[@]}" "${@:3}" "tests/c/$1.c" "$LIBRARY" "${SYSTEM[@]}" -o "$OUT/$1$2"
}

for program in wrong_use device; do
  compile "$program" ""
  compile "$program" -sanitized "${SANITIZERS[@]}"
done
"$OUT/wrong_use"
"$OUT/wrong_use-sanitized"
"${VALGRIND[@]}" "$OUT/wrong_use"
DEVICE=$OUT/device python3 -m tests.c.updates --cuts 40
DEVICE=$OUT/device-sanitized python3 -m tests.c.updates --cuts 15
DEVICE=$OUT/device python3 -m tests.c.updates --cuts 5 -- "${VALGRIND[@]}"

# Their partition tables hold through every power cut.
for table in examples/esp-idf/partitions.csv examples/arduino/otaru_update/partitions.csv; do
  "$OTARU_BIN" sim flash --partitions "$table" | tail -n 2
done

# The examples for the ESP32, on what stands in for ESP-IDF and Arduino. Every header of theirs is the one of ours.
readonly STAND_IN=$OUT/stand-in EXAMPLES=(-Iexamples/esp32 -Iexamples/esp-idf/main -Itests/c/esp)
rm -rf "$STAND_IN"
mkdir -p "$STAND_IN/freertos"
for header in esp_{app_desc,err,event,log,netif,ota_ops,partition,system,timer,wifi} mqtt_client nvs nvs_flash \
  freertos/{FreeRTOS,semphr,task}; do
  echo '#include "stand_in.h"' >"$STAND_IN/$header.h"
done
for header in Arduino Preferences PubSubClient WiFi; do echo '#include "arduino.h"' >"$STAND_IN/$header.h"; done

# The Arduino library is made as its readers make it.
examples/arduino/make-library.sh host "$LIBRARY" "$OUT/libraries"
readonly ARDUINO=$OUT/libraries/Otaru/src

# example SUFFIX FLAG...
example() {
  local flags=("${STRICT[@]}" "${EXAMPLES[@]}" "-I$STAND_IN" "${@:2}") glue=("$ARDUINO/otaru_esp.c" tests/c/esp/stand_in.c)
  gcc "${flags[@]/-std=c99/-std=gnu11}" -c examples/esp-idf/main/main.c -o "$OUT/main.o"
  gcc "${flags[@]/-std=c99/-std=gnu11}" tests/c/esp/{idf_main,mqtt}.c examples/esp-idf/main/updates.c "${glue[@]}" \
    "$LIBRARY" -lmosquitto "${SYSTEM[@]}" -o "$OUT/esp-idf$1"
  for source in "${glue[@]}"; do
    gcc "${flags[@]/-std=c99/-std=gnu11}" -c "$source" -o "$OUT/$(basename "$source").o"
  done
  g++ "${flags[@]/-std=c99/-std=gnu++17}" "-DVERSION=esp_app_get_description()->version" \
    -x c++ examples/arduino/otaru_update/otaru_update.ino tests/c/esp/arduino_main.cpp -x none \
    "$OUT"/{otaru_esp,stand_in}.c.o "$ARDUINO/host/libotaru_device_c.a" -lmosquitto "${SYSTEM[@]}" -o "$OUT/arduino$1"
}

example -sanitized "${SANITIZERS[@]}"
DEVICE=$OUT/esp-idf-sanitized python3 -m tests.c.updates --esp --cuts 10
DEVICE=$OUT/arduino-sanitized python3 -m tests.c.updates --esp --cuts 6
example -threads -fsanitize=thread
DEVICE=$OUT/esp-idf-threads python3 -m tests.c.updates --esp --cuts 3
