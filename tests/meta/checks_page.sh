#!/usr/bin/env bash
# docs/checks.md is what the binary explains about its own rules, under a heading. A test run compares; --write
# makes the page anew after a change of lib/loraproof/commands/rules.yaml.
#   tests/meta/checks_page.sh BINARY ROOT [--write]
set -euo pipefail
binary="$1"
page="$2/docs/checks.md"
made() {
  cat <<'HEAD'
# Checks and settings

Every check and setting, its default and how to change it. Made from `lib/loraproof/commands/rules.yaml` by
`tests/meta/checks_page.sh BINARY ROOT --write`; a test compares. The same from the binary: [explain](explain.md).

HEAD
  "$binary" explain --all --format markdown
}
if [[ "${3:-}" == --write ]]; then
  made > "$page"
elif ! diff -u "$page" <(made); then
  echo "docs/checks.md is not what the rules say: run tests/meta/checks_page.sh BINARY ROOT --write"
  exit 1
fi
