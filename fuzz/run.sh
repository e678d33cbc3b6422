#!/usr/bin/env bash
# Builds all fuzz targets and runs each for a while. What it finds stays in the target folder.
# usage: fuzz/run.sh [TARGET...]      OTARU_FUZZ_SECONDS: how long each runs, 6 unless set
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

SECONDS_EACH=${OTARU_FUZZ_SECONDS:-6}
OUT=$TARGET_DIR/fuzz
need_command c++ g++

built=$SECONDS
RUSTC_WRAPPER=$PWD/fuzz/rustc-wrapper CARGO_TARGET_DIR=$OUT \
  cargo build --locked -q --manifest-path fuzz/Cargo.toml --bins
printf 'built in %d s; each runs for %d s\n' $((SECONDS - built)) "$SECONDS_EACH"

# run_target NAME: its seeds are read from the checkout, what is new goes beside the binary.
run_target() {
  local name=$1 found=$OUT/corpus/$1 log=$OUT/$1.log
  mkdir -p "$found" "$OUT/findings"
  if "$OUT/debug/$name" "$found" "fuzz/corpus/$name" -max_total_time="$SECONDS_EACH" -timeout=10 \
    -artifact_prefix="$OUT/findings/$name-" -print_final_stats=1 >"$log" 2>&1; then
    printf '  %-12s %9s runs\n' "$name" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
    return
  fi
  printf '\nFOUND by %s:\n' "$name"
  grep -m 5 -A 3 "panicked at\|SUMMARY\|ERROR: libFuzzer" "$log" || tail -n 20 "$log"
  printf 'the whole log is %s; to see it again:\n' "$log"
  sed -n "s|.*Test unit written to |  $OUT/debug/$name |p" "$log"
  return 1
}

targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(sed -n 's/^name = "\(.*\)"$/\1/p' fuzz/Cargo.toml | grep -v otaru-fuzz)
running=() failed=0
for name in "${targets[@]}"; do
  run_target "$name" &
  running+=($!)
  # Two at a time.
  if [ ${#running[@]} -ge 2 ]; then
    wait "${running[0]}" || failed=1
    running=("${running[@]:1}")
  fi
done
for pid in "${running[@]}"; do wait "$pid" || failed=1; done
exit "$failed"
