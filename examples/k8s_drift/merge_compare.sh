#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Merges OUT/part-0.drift to part-(PARTS-1).drift into OUT/merged.drift and compares that with REFERENCE; without REFERENCE
# it only merges. More options of `drift compare` are its arguments. Ends with loraproof's exit code: 0 no drift, 1 drift.
set -euo pipefail
: "${PARTS:?}" "${OUT:?}"
loraproof="${LORAPROOF:-loraproof}"

# By name, not by *.drift: a part that is missing is an error, and one that an earlier run left is not taken.
parts=()
for ((i = 0; i < PARTS; i++)); do parts+=("$OUT/part-$i.drift"); done
"$loraproof" drift merge "${parts[@]}" --quiet --output "$OUT/merged.drift"
if [ -n "${REFERENCE:-}" ]; then
  exec "$loraproof" drift compare "$REFERENCE" "$OUT/merged.drift" --quiet --report json="$OUT/drift.json" "$@"
fi
