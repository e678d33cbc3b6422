# shellcheck shell=bash
# Shared by the tests that are scripts; to be sourced after tools/lib.sh, from the root of the checkout.

passed=0
step() { printf -- '-- %s\n' "$*"; }

# has TEXT PART...: every part stands in the text.
has() {
  local text=$1 part
  shift
  for part in "$@"; do
    [[ $text == *"$part"* ]] || die "expected $part in: $text"
    passed=$((passed + 1))
  done
}

# json EXPRESSION: evaluates it on the document of standard input, called `d`.
json() { python3 -c "import json, sys; d = json.load(sys.stdin); print($1)"; }

# Ends what runs in the background.
stop_jobs() {
  local pid
  for pid in $(jobs -p); do kill "$pid" 2>/dev/null || true; done
  wait
}
