#!/usr/bin/env bash
# Every source is as clang-format 14 with .clang-format makes it; other releases break lines elsewhere.
#   tests/meta/format.sh ROOT [--self-test]
# Without clang-format 14 the test is skipped; with LORAPROOF_REQUIRE_LIVE=1, as in CI, it fails.
# --self-test plants a wrong line in a copy and expects it to be found.
set -euo pipefail
cd "$1"
format=""
for name in clang-format-14 clang-format; do
  if command -v "$name" > /dev/null && "$name" --version | grep -q 'version 14\.'; then format="$name"; break; fi
done
if [[ -z "$format" ]]; then
  echo "clang-format 14 was not found (scripts/test installs it on Debian 12)"
  [[ "${LORAPROOF_REQUIRE_LIVE:-0}" == 1 ]] && exit 1
  exit 77
fi

check() {  # check FOLDER...: prints the lines that are not in shape
  find "$@" \( -name '*.cpp' -o -name '*.h' \) -print0 | xargs -0 -r -n 100 "$format" --dry-run --Werror
}

if [[ "${2:-}" != --self-test ]]; then
  if ! check lib apps tests examples cmake; then
    echo "to format: git ls-files '*.cpp' '*.h' | xargs $format -i"
    exit 1
  fi
  exit 0
fi

copy="$(mktemp -d)"
trap 'rm -rf "$copy"' EXIT
cp -r .clang-format apps "$copy/"
cd "$copy"
check apps || { echo "the copy was not clean to begin with"; exit 1; }
file="$(find apps -name '*.cpp' | sort | head -n 1)"
printf 'int  planted( int a ){return a;}\n' >> "$file"
if found="$(check apps 2>&1)"; then echo "not found: a planted line in $file"; exit 1; fi
grep -qF "$file:" <<< "$found" || { echo "the message does not name $file: $found"; exit 1; }
