#!/usr/bin/env bash
# Runs the store's and the server's tests, and the guide's flow, over a PostgreSQL of its own.
# usage: tests/postgres.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

need_command mosquitto_rr mosquitto-clients
. tools/postgres.sh

export OTARU_TEST_POSTGRES=postgres://otaru@127.0.0.1:$PG_PORT/postgres
"$PG_BIN/psql" -At "$OTARU_TEST_POSTGRES" -c 'select version()'
cargo test --locked -p otaru-store -p otaru-server --features otaru-store/postgres-tests,otaru-server/postgres-tests

# And the whole program: the flow of the guide, kept in PostgreSQL.
OTARU_BIN=$(otaru_binary) OTARU_DATABASE=$(new_database flow) tests/mosquitto/flow.sh
