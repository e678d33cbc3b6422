# shellcheck shell=bash
# A throw-away PostgreSQL; to be sourced after tools/lib.sh. It lies in a temporary folder, listens on a free
# port of 127.0.0.1, and is gone when the script that sourced this ends; so it need not wait for the disk, unless
# PG_OPTIONS says otherwise.

newest_postgres() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1; }

[ -n "$(newest_postgres)" ] || need_debian postgresql
PG_BIN=$(newest_postgres)
[ -n "$PG_BIN" ] || die "no PostgreSQL server under /usr/lib/postgresql"

# The server refuses to run as root.
as_owner() {
  if [ "$(id -u)" = 0 ]; then (cd "$PG_DIR" && runuser -u postgres -- "$@"); else "$@"; fi
}

PG_DIR=$(mktemp -d)
stop_postgres() {
  as_owner "$PG_BIN/pg_ctl" -D "$PG_DIR/data" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$PG_DIR"
}
trap stop_postgres EXIT

[ "$(id -u)" != 0 ] || chown postgres "$PG_DIR"
as_owner "$PG_BIN/initdb" -D "$PG_DIR/data" -U otaru -A trust -E UTF8 --locale=C.UTF-8 >/dev/null
PG_PORT=$(free_port)
as_owner "$PG_BIN/pg_ctl" -D "$PG_DIR/data" -l "$PG_DIR/log" -w start \
  -o "-p $PG_PORT -c listen_addresses=127.0.0.1 -c unix_socket_directories=$PG_DIR -c max_connections=200 ${PG_OPTIONS:--c fsync=off}" >/dev/null ||
  { cat "$PG_DIR/log" >&2; die "PostgreSQL did not start"; }

# new_database NAME: prints its URL.
new_database() {
  "$PG_BIN/createdb" -h 127.0.0.1 -p "$PG_PORT" -U otaru "$1"
  echo "postgres://otaru@127.0.0.1:$PG_PORT/$1"
}
