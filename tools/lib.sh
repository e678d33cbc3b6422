# shellcheck shell=bash
# Shared by ./test and the scripts it runs; to be sourced from the root of the checkout.

TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
TOOLS_DIR=$TARGET_DIR/tools
PYTHON_ENV=$TOOLS_DIR/python
NODE_TOOLS=$TOOLS_DIR/node

die() {
  echo "error: $*" >&2
  exit 1
}

# need_debian PACKAGE...: installs what is missing.
need_debian() {
  local missing=() package
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" = "ii " ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || die "this stage needs the Debian packages ${missing[*]}, and apt-get is not here; install their like by hand"
  [ "$(id -u)" = 0 ] || die "this stage needs the Debian packages ${missing[*]}; install them, or run it as root"
  debian_lists
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# The package lists of a fresh machine are old or empty; fetched once per checkout and day.
debian_lists() {
  local stamp=$TOOLS_DIR/apt-lists
  [ -z "$(find "$stamp" -mtime -1 2>/dev/null)" ] || return 0
  apt-get update -qq
  mkdir -p "$TOOLS_DIR"
  touch "$stamp"
}

# need_command COMMAND PACKAGE: a command of another origin will do as well.
need_command() {
  command -v "$1" >/dev/null || need_debian "$2"
}

# The Python tools, pinned in tools/requirements.txt, in an environment inside the target folder.
python_env() {
  local done=$PYTHON_ENV/requirements.txt
  cmp -s tools/requirements.txt "$done" && return 0
  python3 -c 'import ensurepip, venv' 2>/dev/null || need_debian python3-venv
  rm -rf "$PYTHON_ENV"
  python3 -m venv "$PYTHON_ENV"
  "$PYTHON_ENV/bin/python" -m pip install -q --disable-pip-version-check -r tools/requirements.txt
  cp tools/requirements.txt "$done"
}

# The official Node.js device SDK, pinned in tests/node_sdk, in a folder inside the target folder.
node_env() {
  local lock=tests/node_sdk/package-lock.json done=$NODE_TOOLS/installed.json
  need_command npm npm
  cmp -s "$lock" "$done" && return 0
  rm -rf "$NODE_TOOLS"
  mkdir -p "$NODE_TOOLS"
  cp tests/node_sdk/package.json "$lock" "$NODE_TOOLS"
  (cd "$NODE_TOOLS" && npm ci --silent --ignore-scripts --no-audit --no-fund)
  cp "$lock" "$done"
}

# Builds the product's binary and prints its path. It comes out of the build of the tests, because
# building it by itself would choose other features of its dependencies and compile them again.
otaru_binary() {
  cargo test --locked -q --workspace --no-run >&2
  echo "$TARGET_DIR/debug/otaru"
}

# A port of 127.0.0.1 that nothing listens on, below the range the kernel gives to clients.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 10000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
  local until=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$until" ] || die "$what did not happen in time"
    sleep 0.1
  done
}
