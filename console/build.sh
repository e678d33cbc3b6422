#!/usr/bin/env bash
# Builds the web page into console/dist/web, from where the next build of otaru takes it. Needs Node.js 20.19 or
# later.
set -euo pipefail
cd "$(dirname "$0")"
command -v npm >/dev/null || {
  echo "error: npm is not here; install Node.js 20.19 or later (Debian: apt install npm)" >&2
  exit 1
}
npm ci --ignore-scripts --no-audit --no-fund
npm run build
