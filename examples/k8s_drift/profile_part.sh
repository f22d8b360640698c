#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Profiles one part of a list of log files: each PARTS-th line of LOGS, from number JOB_COMPLETION_INDEX on (0 is the first).
# Writes OUT/part-INDEX.drift. More options of `drift profile` are its arguments. Ends with loraproof's exit code.
set -euo pipefail
: "${JOB_COMPLETION_INDEX:?}" "${PARTS:?}" "${LOGS:?}" "${OUT:?}" "${TOKENIZER:?}" "${MAP:?}"

[ -r "$LOGS" ] || { echo "profile_part: cannot read the list $LOGS" >&2; exit 3; }
mapfile -t files < <(awk -v parts="$PARTS" -v index_="$JOB_COMPLETION_INDEX" 'NF && n++ % parts == index_' "$LOGS")
# With fewer files than parts: a profile of nothing, so that the next step sees that no part is missing.
if [ ${#files[@]} -eq 0 ]; then
  files=(-)
fi
mkdir -p "$OUT"
# Written beside it and renamed: a pod that is started again replaces its part, and half a part is never seen.
exec "${LORAPROOF:-loraproof}" drift profile "${files[@]}" --tokenizer "$TOKENIZER" --map "$MAP" --threads "${THREADS:-1}" \
  --quiet --output "$OUT/part-$JOB_COMPLETION_INDEX.drift" "$@" < /dev/null
