#!/usr/bin/env bash
# Measures the real program beside nginx, bare TCP, Mosquitto and the bare committer. On Debian, as root, it
# installs what it needs; PostgreSQL is a throw-away cluster of its own.
#
#   benches/run.sh --write       everything, into docs/performance.md; about ten minutes of a quiet machine
#   benches/run.sh --smallest    so little that only the measuring itself is proved
#   benches/run.sh [OPTION...]   as `otaru-bench run --help` says
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

need_command taskset util-linux
need_command nginx nginx-light
need_command mosquitto mosquitto
need_postgres

options=()
for option in "$@"; do
  [ "$option" != --write ] || option=--write=docs/performance.md
  options+=("$option")
done

cargo build --locked --release -p otaru -p otaru-bench
cargo build --locked --release -p otaru-store --example committer

DIR=$(mktemp -d)
trap 'stop_postgres "$DIR"' EXIT
PORT=$(free_port)
start_postgres "$DIR" "$PORT" -c max_connections=200 -c shared_buffers=512MB -c max_wal_size=4GB

ulimit -n "$(ulimit -Hn)"
PATH=$POSTGRES_BIN:/usr/sbin:$PATH "$TARGET_DIR/release/otaru-bench" run \
  --otaru "$TARGET_DIR/release/otaru" --committer "$TARGET_DIR/release/examples/committer" \
  --postgres "postgres://otaru@127.0.0.1:$PORT" ${options[@]+"${options[@]}"}
