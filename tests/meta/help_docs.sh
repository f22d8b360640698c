#!/usr/bin/env bash
# Each flag of `loraproof SUB --help` stands in docs/SUB.md, and each flag that the page mentions exists
# in the help of some subcommand (or of loraproof itself). A subcommand without a page fails.
#   tests/meta/help_docs.sh BINARY ROOT
set -euo pipefail
binary="$1"
root="$2"
failed=0
complain() { echo "$1"; failed=1; }
flags_in() { { grep -oE -e '(^|[^[:alnum:]_-])--[a-z][a-z-]*' || true; } | grep -oE -e '--[a-z-]+' | sort -u; }

top="$("$binary" --help)"
mapfile -t subcommands < <(awk '/^Subcommands:/ {on = 1; next} /^[^ ]/ {on = 0} on && NF {print $1}' <<< "$top")
[[ ${#subcommands[@]} -gt 0 ]] || { echo "the help lists no subcommand"; exit 1; }
known="$(flags_in <<< "$top")"
declare -A flags_of
names_in() { awk '/^Subcommands:/ {on = 1; next} /^[^ ]/ {on = 0} on && NF && /^  [a-z]/ {print $1}'; }
for sub in "${subcommands[@]}"; do
  help="$("$binary" "$sub" --help)"
  while IFS= read -r nested; do  # of a subcommand that has subcommands: their flags are on its page
    [[ -z "$nested" ]] || help+=$'\n'"$("$binary" "$sub" "$nested" --help)"
  done < <(names_in <<< "$help")
  flags_of[$sub]="$(flags_in <<< "$help")"
  known+=$'\n'"${flags_of[$sub]}"
done
for sub in "${subcommands[@]}"; do
  page="$root/docs/$sub.md"
  [[ -f "$page" ]] || { complain "docs/$sub.md is missing"; continue; }
  mentioned="$(flags_in < "$page")"
  while IFS= read -r flag; do
    [[ "$flag" == --help ]] || grep -qxF -e "$flag" <<< "$mentioned" || complain "docs/$sub.md does not mention $flag"
  done <<< "${flags_of[$sub]}"
  while IFS= read -r flag; do
    [[ -z "$flag" ]] || grep -qxF -e "$flag" <<< "$known" || complain "docs/$sub.md mentions $flag, which no subcommand has"
  done <<< "$mentioned"
done
exit $failed
