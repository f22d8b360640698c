#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Deploys an adapter only when loraproof says that it still behaves as its golden suite recorded.
#   gate.sh BASE ADAPTER SUITE COMMAND [ARGUMENT...]     COMMAND deploys; it runs after a pass and never otherwise
# LORAPROOF is the binary (loraproof), REPORTS the folder for the reports (the working folder). Exit code: that of
# COMMAND after a pass, otherwise that of loraproof.
set -uo pipefail
[ $# -ge 4 ] || { echo "usage: gate.sh BASE ADAPTER SUITE COMMAND [ARGUMENT...]" >&2; exit 2; }
base="$1"; adapter="$2"; suite="$3"; shift 3
reports="${REPORTS:-.}"

code=0
"${LORAPROOF:-loraproof}" validate --base "$base" --adapter "$adapter" --golden "$suite" --quiet \
  --report json="$reports/loraproof.json" --report markdown="$reports/loraproof.md" || code=$?

case "$code" in
  0) echo "gate: passed, deploying" >&2; exec "$@" ;;
  1) echo "gate: the adapter failed; $reports/loraproof.md says where" >&2 ;;
  2) echo "gate: wrong options or policy; nothing was judged" >&2 ;;
  3) echo "gate: a file is missing or unusable; nothing was judged" >&2 ;;
  4) echo "gate: undecided; a person has to look at $reports/loraproof.md" >&2 ;;
  *) echo "gate: loraproof ended with $code; nothing was judged" >&2 ;;
esac
echo "gate: not deployed" >&2
exit "$code"
