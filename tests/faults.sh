#!/usr/bin/env bash
# The faults that take longer, or root, or a PostgreSQL: many kills at random moments, over both databases;
# a database that restarts, or is held by another; a disk that is full.
# usage: tests/faults.sh      OTARU_FAULTS_KILLS, OTARU_FAULTS_SEED: how many kills, and which
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh
. tools/postgres.sh

export OTARU_FAULTS_KILLS=${OTARU_FAULTS_KILLS:-60}
cargo test --locked -q --workspace --test faults --no-run

# faults TITLE ARGUMENT...: the tests that these arguments choose.
faults() {
  local start=$SECONDS status=0
  cargo test --locked -q --workspace --test faults -- --nocapture "${@:2}" || status=$?
  printf -- '--- %s: %s, %d s\n' "$1" "$([ $status = 0 ] && echo ok || echo FAILED)" $((SECONDS - start))
  return "$status"
}

# While a database is held there is little to do: these run beside the others and tell at the end.
export OTARU_FAULTS_DATABASE
OTARU_FAULTS_DATABASE=sqlite faults "SQLite held by another" --ignored held >"$PG_DIR/held-sqlite" 2>&1 &
held_sqlite=$!
OTARU_FAULTS_DATABASE=$(new_database held)
faults "PostgreSQL held by another" --ignored held >"$PG_DIR/held-postgres" 2>&1 &
held_postgres=$!

OTARU_FAULTS_DATABASE=sqlite faults "$OTARU_FAULTS_KILLS kills over SQLite" kills

disk=$(mktemp -d)
trap 'umount "$disk" 2>/dev/null || true; rmdir "$disk" 2>/dev/null || true; stop_postgres' EXIT
mount -t tmpfs -o size=64m tmpfs "$disk" || die "a small disk is made with mount, as root"
OTARU_FAULTS_SMALL_DISK=$disk OTARU_FAULTS_DATABASE=sqlite faults "a full disk" --ignored disk

status=0
wait "$held_sqlite" || status=$?
cat "$PG_DIR/held-sqlite"
wait "$held_postgres" || status=$?
cat "$PG_DIR/held-postgres"
[ "$status" = 0 ] || exit "$status"

# This one breaks the database, so it comes last. What pg_ctl was started with it remembers.
owner=$([ "$(id -u)" != 0 ] || echo "runuser -u postgres --")
export OTARU_FAULTS_BREAK_DATABASE="$owner $PG_BIN/pg_ctl -D $PG_DIR/data -l $PG_DIR/log -m immediate -w restart"
OTARU_FAULTS_DATABASE=$(new_database kills)
faults "$OTARU_FAULTS_KILLS kills over PostgreSQL, each fifth of the database itself" kills
