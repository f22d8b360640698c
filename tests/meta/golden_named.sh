#!/usr/bin/env bash
# Every file in golden/values and golden/reports is named by a file under tests/: what no test reads
# proves nothing. A file is named by its file name, by the name without extension in quotes (a list of
# cases), or, in a folder of its own under golden/values, by that folder's name.
#   tests/meta/golden_named.sh ROOT
set -euo pipefail
cd "$1"
failed=0
while IFS= read -r file; do
  name="$(basename "$file")"
  folder="$(basename "$(dirname "$file")")"
  patterns=(-e "$name" -e "\"${name%.*}\"")
  case "$folder" in values | reports) ;; *) patterns+=(-e "/$folder/" -e "\"$folder\"") ;; esac
  [[ "$name" != meta.yaml ]] || continue
  # This script's own text must not count.
  if ! grep -rqF --exclude-dir=meta --include='*.cpp' --include='*.h' --include='*.py' --include='*.sh' \
       --include='*.test' --include=CMakeLists.txt "${patterns[@]}" tests; then
    echo "$file: no file under tests/ names it"
    failed=1
  fi
done < <(find golden/values golden/reports -type f | sort)
exit $failed
