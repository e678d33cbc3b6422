#!/usr/bin/env bash
# TLS with programs that others made: the handshakes of the C SDKs with `openssl s_client`, messages with the
# mosquitto clients, against a real `otaru serve` with the certificate of `otaru certs new`.
# usage: OTARU_BIN=path/to/otaru tests/tls.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh
. tests/lib.sh

otaru=${OTARU_BIN:?path of the otaru binary}
DIR=$(mktemp -d)
DEVICES=$(free_port)
OPERATORS=$(free_port)
PK=a1TestPk001
DN=dev001
SECRET=0123456789abcdef0123456789abcdef
export OTARU_DATA=$DIR/data OTARU_URL=http://127.0.0.1:$OPERATORS
CA=$OTARU_DATA/tls/ca.pem

cleanup() {
  stop_jobs
  rm -rf "$DIR"
}
trap cleanup EXIT

# shake [option...]: one handshake, and what the program says of it.
shake() { openssl s_client -connect "127.0.0.1:$DEVICES" "$@" </dev/null 2>&1 || true; }

# trusting [option...]: as a device that has the CA and knows the platform as localhost.
trusting() { shake -CAfile "$CA" -verify_return_error -verify_hostname localhost "$@"; }

serial() { shake | openssl x509 -noout -serial; }
changed() { [ "$(serial)" != "$1" ]; }

# client PROGRAM [option...]: a mosquitto client with the device's credentials, over TLS; line by line, so that a log
# of a running one can be read.
client() {
  stdbuf -oL "$1" -V mqttv311 -h localhost -p "$DEVICES" -i "$CLIENT_ID" -u "$DN&$PK" -P "$PASSWORD" "${@:2}"
}

"$otaru" certs new --name localhost --name 127.0.0.1 >/dev/null
"$otaru" serve --devices "127.0.0.1:$DEVICES" --operators "127.0.0.1:$OPERATORS" --tls-client-ca "$CA" \
  >"$DIR/log" 2>&1 &
wait_for 30 "the platform" "$otaru" status
"$otaru" product add Lamp --key "$PK" >/dev/null
"$otaru" device add "$PK" "$DN" --secret "$SECRET" >/dev/null
values=$("$otaru" device credentials "$PK" "$DN" --json)
CLIENT_ID=$(json "d[-1]['clientId']" <<<"$values")
PASSWORD=$(json "d[-1]['password']" <<<"$values")

step "the suites of the C SDKs, with a certificate"
for suite in AES256-SHA256 AES256-SHA AES128-SHA256 AES128-SHA; do
  has "$(trusting -tls1_2 -cipher "$suite" -servername elsewhere.example)" "Cipher    : $suite" "Verify return code: 0 (ok)"
done
# What C SDK 3.x says of signatures, and no elliptic curves at all.
has "$(trusting -tls1_2 -cipher AES256-SHA256 -sigalgs RSA+SHA256:RSA+SHA384)" "Verify return code: 0 (ok)"
has "$(shake -CAfile "$CA" -verify_return_error -verify_ip 127.0.0.1 -tls1_3)" TLSv1.3 "Verify return code: 0 (ok)"
has "$(trusting -tls1_3)" TLSv1.3 "Verify return code: 0 (ok)"

step "a pre-shared key, made by another program"
identity="$DN|hmacsha256|$PK&$DN|2524608000000"
key=$(printf 'id%s&%stimestamp2524608000000' "$PK" "$DN" | openssl dgst -sha256 -hmac "$SECRET" -r | cut -d' ' -f1)
psk=$(printf '%s' "${key^^}" | od -An -v -tx1 | tr -d ' \n')
for suite in PSK-AES128-CBC-SHA PSK-AES128-CBC-SHA256 PSK-AES256-CBC-SHA PSK-AES256-CBC-SHA384; do
  has "$(shake -tls1_2 -cipher "$suite" -psk "$psk" -psk_identity "$identity")" "Cipher    : $suite"
done
has "$(shake -tls1_2 -cipher PSK-AES128-CBC-SHA -psk "00${psk:2}" -psk_identity "$identity")" alert
has "$(cat "$DIR/log")" "wrong pre-shared key"
has "$("$otaru" device credentials "$PK" "$DN")" "$identity" "${key^^}"

step "records are as short as the device asks"
records=$(trusting -tls1_2 -cipher AES128-SHA -maxfraglen 512 -msg)
has "$records" "Verify return code: 0 (ok)"
# The two bytes of a length are as wide for all, so that they sort as they are.
longest=$(grep -A1 '^<<< .*RecordHeader' <<<"$records" | awk '$2 == "03" { print $4 $5 }' | sort | tail -n 1)
[ $((16#$longest)) -le 512 ] || die "a record of $((16#$longest)) bytes came, 512 were allowed"
passed=$((passed + 1))

step "sessions resume"
for version in -tls1_2 -tls1_3; do
  rm -f "$DIR/session" "$DIR/hold" && mkfifo "$DIR/hold"
  openssl s_client -connect "127.0.0.1:$DEVICES" "$version" -sess_out "$DIR/session" <"$DIR/hold" >/dev/null 2>&1 &
  # The ticket of TLS 1.3 comes behind the handshake.
  exec 9>"$DIR/hold"
  wait_for 10 "a ticket" test -s "$DIR/session"
  exec 9>&-
  has "$(shake "$version" -sess_in "$DIR/session")" "Reused, TLSv1"
done

step "messages over TLS, with both versions, the C SDKs' suite and a pre-shared key"
report='{"id":"1","params":{"version":"1.0.0"}}'
inform=/ota/device/inform/$PK/$DN
for way in "--tls-version tlsv1.2 --ciphers AES128-SHA" "--tls-version tlsv1.3" "--tls-version tlsv1.2"; do
  # shellcheck disable=SC2086 # Several words are meant.
  client mosquitto_pub --cafile "$CA" $way -q 1 -t "$inform" -m "$report"
  passed=$((passed + 1))
done
client mosquitto_pub --psk "$psk" --psk-identity "$identity" --tls-version tlsv1.2 --ciphers PSK-AES128-CBC-SHA \
  -q 1 -t "$inform" -m "$report"
openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -out "$DIR/other.pem" -subj /CN=Other 2>/dev/null
if client mosquitto_pub --cafile "$DIR/other.pem" -q 1 -t "$inform" -m "$report" 2>/dev/null; then
  die "a client that does not trust the CA sent a message"
fi
wait_for 10 "the reason in the log" grep -q "it does not trust the certificate here" "$DIR/log"

step "a certificate of the device's own instead of a secret"
"$otaru" certs device lamp >/dev/null
"$otaru" device certificate "$PK" "$DN" --set "$OTARU_DATA/tls/device-lamp.pem" >/dev/null
# by_certificate [option...]: subscribes to what the platform sends unasked, and shows one message.
by_certificate() {
  mosquitto_sub -V mqttv311 -h localhost -p "$DEVICES" --cafile "$CA" --cert "$OTARU_DATA/tls/device-lamp.pem" \
    --key "$OTARU_DATA/tls/device-lamp-key.pem" -i 'anything|securemode=2|' -t "/ota/device/upgrade/$PK/$DN" \
    -C 1 -W 20 -v "$@" 2>&1 || true
}
has "$(by_certificate)" "/ext/auth/identity/response {\"productKey\":\"$PK\",\"deviceName\":\"$DN\"}"
"$otaru" device certificate "$PK" "$DN" --remove >/dev/null
has "$(by_certificate)" "not authorised"

step "a new certificate is taken up, and the session that is there stays"
client mosquitto_sub --cafile "$CA" -d -t "/ota/device/upgrade/$PK/$DN" >"$DIR/sub" 2>&1 &
wait_for 10 "the subscription" grep -q SUBACK "$DIR/sub"
before=$(serial)
echo nonsense >"$OTARU_DATA/tls/server.pem"
wait_for 30 "the complaint" grep -q "no good" "$DIR/log"
[ "$(serial)" = "$before" ] || die "the good certificate was given up for one that is none"
"$otaru" certs new --replace --name localhost >/dev/null
wait_for 30 "the new certificate" changed "$before"
has "$(trusting -tls1_2)" "Verify return code: 0 (ok)"
has "$("$otaru" device show "$PK" "$DN" --json | json "d['online']")" True

printf 'tls: %s passed, 0 failed\n' "$passed"
