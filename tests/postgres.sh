#!/usr/bin/env bash
# Runs the store's and the server's tests, and the guide's flow, over a PostgreSQL of its own: a throw-away cluster in a temporary folder,
# on a free port of 127.0.0.1, gone when the tests end; so it need not wait for the disk (fsync=off).
# usage: tests/postgres.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

newest_postgres() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1; }

need_command mosquitto_rr mosquitto-clients
[ -n "$(newest_postgres)" ] || need_debian postgresql
BIN=$(newest_postgres)
[ -n "$BIN" ] || die "no PostgreSQL server under /usr/lib/postgresql"

# The server refuses to run as root.
as_owner() {
  if [ "$(id -u)" = 0 ]; then (cd "$DIR" && runuser -u postgres -- "$@"); else "$@"; fi
}

DIR=$(mktemp -d)
stop() {
  as_owner "$BIN/pg_ctl" -D "$DIR/data" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$DIR"
}
trap stop EXIT

[ "$(id -u)" != 0 ] || chown postgres "$DIR"
as_owner "$BIN/initdb" -D "$DIR/data" -U otaru -A trust -E UTF8 --locale=C.UTF-8 >/dev/null
PORT=$(free_port)
as_owner "$BIN/pg_ctl" -D "$DIR/data" -l "$DIR/log" -w start \
  -o "-p $PORT -c listen_addresses=127.0.0.1 -c unix_socket_directories=$DIR -c max_connections=200 -c fsync=off" >/dev/null ||
  { cat "$DIR/log" >&2; die "PostgreSQL did not start"; }

export OTARU_TEST_POSTGRES=postgres://otaru@127.0.0.1:$PORT/postgres
"$BIN/psql" -At "$OTARU_TEST_POSTGRES" -c 'select version()'
cargo test --locked -p otaru-store -p otaru-server --features otaru-store/postgres-tests,otaru-server/postgres-tests

# And the whole program: the flow of the guide, kept in PostgreSQL.
"$BIN/createdb" -h 127.0.0.1 -p "$PORT" -U otaru flow
OTARU_BIN=$(otaru_binary) OTARU_DATABASE=postgres://otaru@127.0.0.1:$PORT/flow tests/mosquitto/flow.sh
