#!/usr/bin/env bash
# Measures the real program beside nginx, bare TCP, Mosquitto and the bare committer. On Debian, as root, it
# installs what it needs; PostgreSQL is a throw-away cluster of its own.
#
#   benches/run.sh --profile --write  everything, into docs/performance.md, and with perf where the server's time
#                                     goes; about twenty minutes of a quiet machine. With --only PART,... only these
#                                     sections of the page
#   benches/run.sh --smallest         so little that only the measuring itself is proved
#   benches/run.sh [OPTION...]        as `otaru-bench run --help` says
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

PATH=$PATH:/usr/sbin
need_command taskset util-linux
need_command nginx nginx-light
need_command mosquitto mosquitto
need_command openssl openssl

options=() build=release profile=
for option in "$@"; do
  case $option in
    --profile)
      need_command perf linux-perf
      profile=yes
      ;;
    --write) option=--write=docs/performance.md ;;
    # The build of the tests will do where figures mean nothing.
    --smallest) build=debug ;;
  esac
  options+=("$option")
done

if [[ ! "$*" =~ --only || "$*" =~ console ]]; then
  need_command npm npm
  need_command chromium chromium
  # Where figures mean nothing, the page that is there will do.
  [ "$build" = debug ] && [ -d console/node_modules ] && [ -d console/dist/web ] || console/build.sh
  CHROMIUM=$(command -v chromium)
  export CHROMIUM
fi

if [ "$build" = debug ]; then
  cargo build --locked -q --workspace --all-targets
else
  cargo build --locked --release -p otaru -p otaru-bench
  # The same program with the names of its functions.
  if [ "$profile" ]; then cargo rustc --locked --release -p otaru --bin otaru -- -C strip=none; fi
  cargo build --locked --release -p otaru-store --example committer --example fleet
fi

# Here it does wait for the disk.
PG_OPTIONS="-c shared_buffers=512MB -c max_wal_size=4GB"
. tools/postgres.sh

ulimit -n "$(ulimit -Hn)"
BIN=$TARGET_DIR/$build
PATH=$PG_BIN:$PATH "$BIN/otaru-bench" run --otaru "$BIN/otaru" --examples "$BIN/examples" \
  --postgres "postgres://otaru@127.0.0.1:$PG_PORT" ${options[@]+"${options[@]}"}
