#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs every example of README.md and docs/*.md that names the built binary, from the root of the repository, with the
# binary given: readme_examples.sh LORAPROOF ROOT
set -uo pipefail
binary="$1"; cd "$2"
count=0; failed=0
while IFS= read -r line; do
  count=$((count + 1))
  command="${line#*build/dev/apps/loraproof/loraproof}"
  if ! (eval "\"$binary\" $command") >/dev/null 2>&1; then echo "failed: $line"; failed=$((failed + 1)); fi
done < <(grep -hE '^    build/dev/apps/loraproof/loraproof ' README.md docs/*.md | sort -u)
echo "$count examples, $failed failed"
[ "$count" -ge 2 ] && [ "$failed" -eq 0 ]
