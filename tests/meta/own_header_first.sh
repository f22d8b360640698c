#!/usr/bin/env bash
# The first include of a source in lib/ is its own header, so that the header compiles alone.
#   tests/meta/own_header_first.sh ROOT
set -euo pipefail
cd "$1/lib"
failed=0
while IFS= read -r source; do
  header="${source%.cpp}.h"
  [[ -f "$header" ]] || continue
  first="$(grep -m 1 '^#include' "$source")"
  [[ "$first" == "#include \"${header#./}\"" ]] || { echo "$source: the first include is $first"; failed=1; }
done < <(find . -name '*.cpp')
exit $failed
