#!/usr/bin/env bash
# The flow of docs/guide-mqttx.md, with the mosquitto clients in the part of MQTTX, against a real
# `otaru serve`. One connection per device at a time: what has an answer goes with mosquitto_rr, the
# rest with mosquitto_pub.
# usage: OTARU_BIN=path/to/otaru tests/mosquitto/flow.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/lib.sh
. tests/lib.sh

otaru=${OTARU_BIN:?path of the otaru binary}
DIR=$(mktemp -d)
DEVICES=$(free_port)
OPERATORS=$(free_port)
export OTARU_DATA=$DIR/data OTARU_URL=http://127.0.0.1:$OPERATORS

PK=a1TestPk001
SECRET=0123456789abcdef0123456789abcdef
SIZE=4252
BLOCK=1024
MQTT=mqttv311

same() {
  [ "$1" = "$2" ] || die "expected '$2', got '$1'"
  passed=$((passed + 1))
}

# number NAME JSON: the value of a numeric member of a compact message.
number() { grep -o "\"$1\":[0-9]*" <<<"$2" | head -n 1 | cut -d: -f2; }

# be DEVICE METHOD: the next commands connect as this device, with the values that
# `otaru device credentials` gives for the sign method.
be() {
  local values
  DN=$1
  values=$("$otaru" device credentials "$PK" "$DN" --json)
  CLIENT_ID=$(json "[c['clientId'] for c in d if c['signMethod'] == '$2'][0]" <<<"$values")
  USERNAME=$(json "[c['username'] for c in d if c['signMethod'] == '$2'][0]" <<<"$values")
  PASSWORD=$(json "[c['password'] for c in d if c['signMethod'] == '$2'][0]" <<<"$values")
}

# Line by line, so that a log of a running client can be read. With AS=exec it becomes the client.
client() {
  ${AS:-} stdbuf -oL "$1" -V "$MQTT" -h 127.0.0.1 -p "$DEVICES" -i "$CLIENT_ID" -u "$USERNAME" -P "$PASSWORD" "${@:2}"
}

# say TOPIC MESSAGE: QoS 1, so the platform has the message on disk when this returns.
say() { client mosquitto_pub -q 1 -t "$1" -m "$2"; }

# ask TOPIC MESSAGE ANSWER_TOPIC [option...]: prints the answer.
ask() { client mosquitto_rr -q 1 -W 20 -t "$1" -m "$2" -e "$3" "${@:4}"; }

# listen TOPIC: subscribes in the background.
listen() {
  rm -f "$DIR/sub"
  AS=exec client mosquitto_sub -d -q 1 -t "$1" >"$DIR/sub" 2>&1 &
  sub=$!
  wait_for 10 "the subscription" grep -qs 'received SUBACK' "$DIR/sub"
}

# refused WORD: a publish with the present values is refused with a text that has the word.
refused() {
  local text
  if text=$(say "/ota/device/inform/$PK/$DN" '{"id":"1","params":{"version":"1.0.0"}}' 2>&1); then
    die "a connection that must be refused was accepted"
  fi
  has "$text" "$1"
}

job_state() { "$otaru" job show "$1" --json | json "d['state']"; }
job_is() { [ "$(job_state "$1")" = "$2" ]; }
task_state() { "$otaru" job tasks "$1" --json | json "[t['state'] for t in d if t['deviceName'] == '$2'][0]"; }

task_is() { [ "$(task_state "$1" "$2")" = "$3" ]; }

finish() {
  local status=$?
  stop_jobs
  if [ "$status" != 0 ] && [ -f "$DIR/log" ]; then
    printf -- '-- the last lines of otaru serve:\n' >&2
    tail -n 30 "$DIR/log" >&2
  fi
  rm -rf "$DIR"
}
trap finish EXIT

step "start the platform"
"$otaru" serve --devices "127.0.0.1:$DEVICES" --operators "127.0.0.1:$OPERATORS" >"$DIR/log" 2>&1 &
server=$!
wait_for 30 "an answer of otaru serve" "$otaru" product list

step "a product, its module, two devices, a package"
"$otaru" product add "Street lamp" --key "$PK"
"$otaru" module add "$PK" MCU --alias "Motor controller"
"$otaru" device add "$PK" dev001 --secret "$SECRET"
"$otaru" device add "$PK" dev002
seq -f 'line %04g of the new firmware' 200 | head -c "$SIZE" >"$DIR/mcu.bin"
package=$("$otaru" package add "$PK" "$DIR/mcu.bin" --version 1.1.0 --module MCU --json | json "d['id']")

step "connection values: each of the three sign methods is accepted"
for method in hmacmd5 hmacsha1 hmacsha256; do
  be dev001 "$method"
  say "/$PK/dev001/user/hello" '{}'
done
same "$USERNAME" "dev001&$PK"
echo "client id: $CLIENT_ID"
echo "user name: $USERNAME"
echo "password:  $PASSWORD"

step "MQTTX appends a timestamp to the client id: the password still fits"
CLIENT_ID=${CLIENT_ID}_1720423123000 say "/$PK/dev001/user/hello" '{}'

step "a wrong password and an unknown device are told apart"
PASSWORD=${PASSWORD//[0-9]/0} refused "bad user name or password"
USERNAME="nobody&$PK" refused "not authorised"

step "the first report: the version in use is known"
INFORM=/ota/device/inform/$PK/dev001
REPORT='{"id":"1","params":{"version":"1.0.0","module":"MCU"}}'
say "$INFORM" "$REPORT"
same "$("$otaru" device show "$PK" dev001 --json | json "[v['version'] for v in d['versions'] if v['module'] == 'MCU'][0]")" 1.0.0

step "verify the package on dev001"
job=$("$otaru" job verify "$package" dev001 --protocol mqtt --json | json "d['job']['id']")
wait_for 10 "the task of dev001" task_is "$job" dev001 QUEUED

UPGRADE=/ota/device/upgrade/$PK/dev001
THING=/sys/$PK/dev001/thing

step "report again, and the notice comes"
notice=$(ask "$INFORM" "$REPORT" "$UPGRADE")
echo "$notice"
has "$notice" '"code":"1000"' '"message":"success"' '"version":"1.1.0"' '"module":"MCU"' "\"size\":$SIZE" \
  '"dProtocol":"mqtt"' '"signMethod":"Md5"' "\"md5\":\"$(md5sum <"$DIR/mcu.bin" | cut -d' ' -f1)\"" '"streamFileId":1'
same "$(task_state "$job" dev001)" NOTIFIED

step "ask instead of waiting: the same offer"
reply=$(ask "$THING/ota/firmware/get" '{"id":"2","version":"1.0","params":{"module":"MCU"},"method":"thing.ota.firmware.get"}' \
  "$THING/ota/firmware/get_reply")
echo "$reply"
has "$reply" '"id":"2"' '"code":200' '"version":"1.1.0"'
stream=$(number streamId "$notice")
same "$(number streamId "$reply")" "$stream"
reply=$(ask "$THING/ota/firmware/get" '{"id":"3","version":"1.0","params":{}}' "$THING/ota/firmware/get_reply")
has "$reply" '"data":{}'

# block OFFSET SIZE: prints the reply as hex.
block() {
  ask "$THING/file/download" \
    "{\"id\":\"4\",\"version\":\"1.0\",\"params\":{\"fileToken\":\"1bb8\",\"fileInfo\":{\"streamId\":$stream,\"fileId\":1},\"fileBlock\":{\"size\":$2,\"offset\":$1}}}" \
    "$THING/file/download_reply" -F %x
}

step "one block, as hex and decoded"
frame=$(block 0 256)
echo "$frame"
decoded=$("$otaru" frame decode "$frame")
echo "$decoded"
has "$decoded" 'bOffset' 'fileLength' "$SIZE" '1bb8' 'line 0001'

step "a damaged block and a block beyond the end are seen"
if "$otaru" frame decode "${frame%??}00" >/dev/null 2>&1; then die "a frame with a wrong CRC was decoded"; fi
has "$("$otaru" frame decode "$(block "$SIZE" 256)" 2>&1 || true)" '460'

step "the whole file, block by block"
for ((offset = 0; offset < SIZE; offset += BLOCK)); do
  frame=$(block "$offset" "$BLOCK")
  head=$((16#${frame:0:4}))
  data=${frame:4 + 2 * head}
  printf '%b' "$(sed 's/../\\x&/g' <<<"${data%????}")"
done >"$DIR/received.bin"
cmp "$DIR/mcu.bin" "$DIR/received.bin"
passed=$((passed + 1))

step "progress, then the new version"
say "/ota/device/progress/$PK/dev001" '{"id":"5","params":{"step":"50","desc":"half of it","module":"MCU"}}'
same "$(task_state "$job" dev001)" IN_PROGRESS
say "/ota/device/progress/$PK/dev001" '{"id":"6","params":{"step":"100","desc":"","module":"MCU"}}'
same "$(task_state "$job" dev001)" IN_PROGRESS
say "$INFORM" '{"id":"7","params":{"version":"1.1.0","module":"MCU"}}'
same "$(task_state "$job" dev001)" SUCCEEDED
wait_for 10 "the end of the verify job" job_is "$job" COMPLETED
passed=$((passed + 1))

step "the package is verified: roll out to dev002"
rollout=$("$otaru" job start "$package" --device dev002 --protocol mqtt --json | json "d['job']['id']")
be dev002 hmacsha256
notice=$(ask "/ota/device/inform/$PK/dev002" '{"id":1,"params":{"version":"1.0.0","module":"MCU"}}' "/ota/device/upgrade/$PK/dev002")
has "$notice" '"version":"1.1.0"'
[ "$(number streamId "$notice")" != "$stream" ] || die "two tasks share the stream id $stream"
say "/ota/device/inform/$PK/dev002" '{"id":2,"params":{"version":"1.1.0","module":"MCU"}}'
wait_for 10 "the end of the job" job_is "$rollout" COMPLETED
passed=$((passed + 1))

step "a publish takes over from a running subscription"
be dev001 hmacsha256
listen "$UPGRADE"
same "$(grep -c 'sending CONNECT' "$DIR/sub")" 1
say "/$PK/dev001/user/hello" '{}'
# The older client sees its connection closed, and being mosquitto_sub, connects again.
wait_for 10 "the end of the older connection" sh -c "[ \$(grep -c 'sending CONNECT' '$DIR/sub') -ge 2 ]"
passed=$((passed + 1))

kill "$sub"
wait "$sub" 2>/dev/null || true

MQTT=mqttv5
step "MQTT 5: report, notice, question, block"
"$otaru" device add "$PK" dev003
be dev003 hmacsha256
INFORM=/ota/device/inform/$PK/dev003 UPGRADE=/ota/device/upgrade/$PK/dev003 THING=/sys/$PK/dev003/thing
say "$INFORM" "$REPORT"
rollout=$("$otaru" job start "$package" --device dev003 --protocol mqtt --json | json "d['job']['id']")
notice=$(ask "$INFORM" "$REPORT" "$UPGRADE")
has "$notice" '"version":"1.1.0"'
stream=$(number streamId "$notice")
reply=$(ask "$THING/ota/firmware/get" '{"id":"8","version":"1.0","params":{"module":"MCU"}}' "$THING/ota/firmware/get_reply")
has "$reply" '"id":"8"' '"version":"1.1.0"'
has "$("$otaru" frame decode "$(block 0 256)")" 'bOffset' 'line 0001'
say "$INFORM" '{"id":"9","params":{"version":"1.1.0","module":"MCU"}}'
wait_for 10 "the end of the job" job_is "$rollout" COMPLETED
passed=$((passed + 1))

step "MQTT 5: the reasons for what is refused"
has "$(say "/ota/device/inform/$PK/dev001" "$REPORT" 2>&1)" "Not authorized"
PASSWORD=${PASSWORD//[0-9]/0} refused "Bad User Name or Password"
USERNAME="nobody&$PK" refused "Not authorized"

step "MQTT 5: who is taken over, or sees the platform stop, is told so, and mosquitto_sub ends"
listen "$UPGRADE"
say "/$PK/dev003/user/hello" '{}'
wait "$sub"
has "$(cat "$DIR/sub")" "Received DISCONNECT (142)"
listen "$UPGRADE"
kill "$server"
wait "$server" || die "otaru serve did not stop in peace"
wait "$sub"
has "$(cat "$DIR/sub")" "Received DISCONNECT (139)"

echo "mosquitto: $passed passed, 0 failed"
