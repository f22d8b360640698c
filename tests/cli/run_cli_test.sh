#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs one text test of the real binary: run_cli_test.sh LORAPROOF ROOT FILE.test WORK
#
# A .test file is a list of steps. Each begins with a command and says what must come of it:
#   $ loraproof inspect NOWHERE        run in WORK with bash; `loraproof` and $BINARY are the binary, $ROOT the repository
#   exit 3                             its exit status (0 when the line is missing)
#   out: text                          stdout holds this text
#   err: text                          stderr holds this text
#   no-out                             stdout is empty
#   out-file: golden/...               stdout is this file of the repository, byte for byte
# Lines beginning with # are comments. Every step is checked; the first mismatch shows both outputs.
set -uo pipefail
binary="$1"; export BINARY="$1" ROOT="$2"; file="$3"; work="$4"
rm -rf "$work"; mkdir -p "$work"; cd "$work"
export LORAPROOF_CACHE="$work/cache" HF_HUB_CACHE="$work/hub" NO_COLOR=1
steps=0; command=""; status=0; expected=0; number=0

fail() {
  echo "$file:$number: $1"
  echo "command: $command"; echo "exit $status"
  echo "--- stdout"; head -c 4000 out; echo "--- stderr"; head -c 4000 err
  exit 1
}
finish_step() { [ -z "$command" ] || [ "$status" -eq "$expected" ] || fail "expected exit $expected"; }

loraproof() { "$binary" "$@"; }
while IFS= read -r line || [ -n "$line" ]; do
  number=$((number + 1))
  case "$line" in
    '' | '#'*) ;;
    '$ '*)
      finish_step
      command="${line#\$ }"; expected=0; steps=$((steps + 1)); status=0
      (eval "$command") >out 2>err </dev/null || status=$? ;;
    'exit '*) expected="${line#exit }" ;;
    'out: '*) grep -qF -- "${line#out: }" out || fail "stdout lacks: ${line#out: }" ;;
    'err: '*) grep -qF -- "${line#err: }" err || fail "stderr lacks: ${line#err: }" ;;
    'no-out') [ ! -s out ] || fail "stdout is not empty" ;;
    'out-file: '*) cmp -s out "$ROOT/${line#out-file: }" || { diff "$ROOT/${line#out-file: }" out; fail "stdout differs"; } ;;
    *) fail "not understood: $line" ;;
  esac
done < "$file"
finish_step
[ "$steps" -gt 0 ] || { echo "$file holds no step"; exit 1; }
echo "$steps steps passed"
