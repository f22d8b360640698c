#!/usr/bin/env bash
# The table of modules in docs/architecture.md is the list in cmake/modules.cmake. A test run compares; --write makes the table
# anew after a change of the list.
#   tests/meta/modules_page.sh ROOT [--write]
set -euo pipefail
list="$1/cmake/modules.cmake"; page="$1/docs/architecture.md"
head='| module | may include | libtorch | holds |'
made() {
  awk -v head="$head" -v rows="$(rows)" '
    $0 == head { print; print "|---|---|---|---|"; print rows; inside = 1; next }
    inside && /^\|/ { next }
    { inside = 0; print }' "$page"
}
rows() {
  grep -oE '"[a-z_]+\|(no|yes|part)\|.*"' "$list" | tr -d '"' | while IFS='|' read -r name torch below holds; do
    [[ "$torch" != part ]] || torch="in part"
    printf '| `%s` | %s | %s | %s |\n' "$name" "${below:-–}" "$torch" "$holds"
  done
}
grep -qxF "$head" "$page" || { echo "$page: no table that begins with: $head"; exit 1; }
[[ "$(rows | wc -l)" -gt 10 ]] || { echo "$list: no rows found"; exit 1; }
if [[ "${2:-}" == --write ]]; then
  made > "$page.new" && mv "$page.new" "$page"
elif ! diff -u "$page" <(made); then
  echo "docs/architecture.md is not what the list of modules says: run tests/meta/modules_page.sh ROOT --write"
  exit 1
fi
