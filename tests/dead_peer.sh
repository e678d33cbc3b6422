#!/usr/bin/env bash
# A device whose line is cut without a word, as a router does that forgets it: the platform finds out by TCP's
# own questions, long before the device's keepalive. Platform and device have a network namespace each.
# usage: OTARU_BIN=path/to/otaru tests/dead_peer.sh      as root, on Linux
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh
. tests/lib.sh

otaru=${OTARU_BIN:?path of the otaru binary}
DIR=$(mktemp -d)
HOME_NS=otaru-home-$$
AWAY_NS=otaru-away-$$
PK=a1TestPk001
export OTARU_DATA=$DIR/data

cleanup() {
  stop_jobs
  ip netns delete "$HOME_NS" 2>/dev/null || true
  ip netns delete "$AWAY_NS" 2>/dev/null || true
  rm -rf "$DIR"
}
trap cleanup EXIT

ip netns add "$HOME_NS" && ip netns add "$AWAY_NS" || die "network namespaces are made with ip netns, as root"
ip -n "$HOME_NS" link add line type veth peer name line netns "$AWAY_NS"
ip -n "$HOME_NS" addr add 192.0.2.1/24 dev line
ip -n "$AWAY_NS" addr add 192.0.2.2/24 dev line
ip -n "$HOME_NS" link set lo up
ip -n "$HOME_NS" link set line up
ip -n "$AWAY_NS" link set line up

home() { ip netns exec "$HOME_NS" "$@"; }

# is_online DEVICE True|False
is_online() { [ "$(home "$otaru" device show "$PK" "$1" --json | json "d['online']")" = "$2" ]; }

# connect DEVICE: a client that stays, with the longest keepalive that devices have.
connect() {
  local values
  home "$otaru" device add "$PK" "$1" >/dev/null
  values=$(home "$otaru" device credentials "$PK" "$1" --json)
  value() { json "[c['$1'] for c in d if c['signMethod'] == 'hmacsha256'][0]" <<<"$values"; }
  ip netns exec "$AWAY_NS" mosquitto_sub -V mqttv311 -k 1200 -h 192.0.2.1 -p 1883 -i "$(value clientId)" \
    -u "$(value username)" -P "$(value password)" -t "/ota/device/upgrade/$PK/$1" >"$DIR/$1" 2>&1 &
  wait_for 20 "the connection of $1" is_online "$1" True
}

home "$otaru" serve --devices 192.0.2.1:1883 --tcp-idle 1s --tcp-interval 1s --tcp-probes 2 \
  --tcp-user-timeout 3s --log info,otaru_door=debug >"$DIR/out" 2>"$DIR/log" &
wait_for 20 "the start" grep -q "is up" "$DIR/out"
home "$otaru" product add lamp --key "$PK" >/dev/null

connect dev001
# Longer than a dead device would be kept: one that lives answers the questions, and stays.
sleep 5
is_online dev001 True || die "a device that only says nothing was taken for dead"

ip -n "$AWAY_NS" link set line down
cut=$SECONDS
wait_for 20 "the end of the session" is_online dev001 False
grep -q 'a session ended .*dev001.* why=Lost' "$DIR/log" || die "it ended for another reason: $(tail -n 3 "$DIR/log")"
printf 'a line cut without a word was noticed within %d s\n' $((SECONDS - cut + 1))
