#!/usr/bin/env bash
# Every `otaru` command that the documents show is one that the program takes.
# usage: OTARU_BIN=path/to/otaru tests/commands.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

otaru=${OTARU_BIN:?path of the otaru binary}
seen=0
for document in README.md docs/guide-*.md docs/device-agent.md; do
  while read -r -a words; do
    # Asked for help, the program reads the words before it and carries nothing out.
    "$otaru" "${words[@]:1}" --help >/dev/null || die "$document shows a command that the program refuses: ${words[*]}"
    seen=$((seen + 1))
  done < <(sed -n 's/ *#.*//; s/"[^"]*"/text/g; s/^otaru /&/p' "$document")
done
[ "$seen" -ge 15 ] || die "only $seen commands were found in the documents"
echo "$seen commands of the documents exist"
