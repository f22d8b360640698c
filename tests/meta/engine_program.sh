#!/usr/bin/env bash
# The program that answers help, refuses mistakes, inspects an adapter alone and merges loads no libtorch; the engine beside it
# does, and without that the program says what is missing. A merge needs it only to compare (--golden).
#   tests/meta/engine_program.sh LORAPROOF ADAPTER DEMO_MODEL
set -euo pipefail
program="$1"; adapter="$2"; demo="$3"
fail() { echo "$1"; exit 1; }

loads_torch() { readelf -d "$1" | grep 'NEEDED.*libtorch' > /dev/null; }
if loads_torch "$program"; then fail "$program needs libtorch to start"; fi
loads_torch "$(dirname "$program")/loraproof-engine" || fail "loraproof-engine is not linked with libtorch"
# libtorch.so holds no symbol of ours, and yet has to stay: where there is one it loads libtorch_cuda.so.
readelf -d "$(dirname "$program")/loraproof-engine" | grep 'NEEDED.*\[libtorch\.so\]' > /dev/null ||
  fail "libtorch.so is not among the libraries that loraproof-engine needs: it would not see CUDA"

alone="$(mktemp -d)"; trap 'rm -rf "$alone"' EXIT
cp "$program" "$alone/loraproof"
"$alone/loraproof" validate --help > "$alone/help" || fail "help needs the engine"
grep -q -- --record "$alone/help" || fail "help of validate is not complete"
status=0; "$alone/loraproof" inspect --bad-flag 2> /dev/null || status=$?
[ "$status" = 2 ] || fail "usage errors need the engine: exit $status"
"$alone/loraproof" inspect "$adapter" > "$alone/report" || fail "inspect without --base needs the engine"
grep -q 'verdict: pass' "$alone/report" || fail "inspect without --base: $(cat "$alone/report")"
status=0; "$alone/loraproof" inspect "$adapter" --base "$alone" > /dev/null 2> "$alone/message" || status=$?
[ "$status" = 3 ] || fail "a missing engine: exit $status, expected 3"
grep -q 'installation is missing' "$alone/message" || fail "a missing engine is not named: $(cat "$alone/message")"
grep -q 'libexec/loraproof/loraproof-engine: ' "$alone/message" || fail "the missing file is not named: $(cat "$alone/message")"
grep -q 'copy that beside it' "$alone/message" || fail "no way out is named: $(cat "$alone/message")"
merge=("$alone/loraproof" merge --base "$demo/base" --adapter "$demo/adapter" --quiet)
"${merge[@]}" --out "$alone/merged" > "$alone/report" || fail "merge needs the engine: $(cat "$alone/report")"
status=0; "${merge[@]}" --out "$alone/compared" --golden "$alone" > /dev/null 2> "$alone/message" || status=$?
[ "$status" = 3 ] || fail "merge --golden without the engine: exit $status, expected 3"
grep -q 'installation is missing' "$alone/message" || fail "a missing engine is not named: $(cat "$alone/message")"
[ ! -e "$alone/compared" ] || fail "merge --golden wrote without comparing"
# What the message advises helps: the engine beside the copy is found.
ln -s "$(realpath "$(dirname "$program")/loraproof-engine")" "$alone/loraproof-engine"
"$alone/loraproof" inspect "$demo/adapter" --base "$demo/base" > "$alone/report" || fail "the engine beside a copy is not found: $(cat "$alone/report")"
grep -q 'verdict: pass' "$alone/report" || fail "inspect --base of a copy: $(cat "$alone/report")"
