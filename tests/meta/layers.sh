#!/usr/bin/env bash
# Checks the includes of lib/ and apps/ against cmake/modules.cmake, and where torch may be included.
#   tests/meta/layers.sh ROOT [--self-test]
# --self-test plants one forbidden include after another in a copy and expects each to be found.
set -euo pipefail
root="$1"

check() {
  local root="$1" violations=0 module file line target
  declare -A allowed=() torch=()
  while IFS='|' read -r module torch_of_it line _; do
    allowed[$module]=" $module $line "
    torch[$module]="$torch_of_it"
  done < <(grep -oE '"[a-z_]+\|(no|yes|part)\|.*"' "$root/cmake/modules.cmake" | tr -d '"')
  [[ ${#allowed[@]} -gt 10 ]] || { echo "cmake/modules.cmake: no rows found"; return 1; }
  complain() { echo "$1"; violations=$((violations + 1)); }

  while IFS=: read -r file target; do
    case "$file" in
      apps/*) module=app ;;
      *) module="${file#lib/loraproof/}"; module="${module%%/*}" ;;
    esac
    if [[ -z "${allowed[$module]:-}" ]]; then
      complain "$file: module '$module' has no row in cmake/modules.cmake"
      continue
    fi
    case "$target" in
      loraproof/*)
        target="${target#loraproof/}"; target="${target%%/*}"
        [[ "${allowed[$module]}" == *" $target "* ]] ||
          complain "$file: '$module' may not include '$target' (cmake/modules.cmake)" ;;
      torch/version.h) ;;  # macros only
      torch/torch.h) complain "$file: torch/torch.h costs seconds per file; include what is needed" ;;
      ATen/* | c10/* | torch/*)
        [[ "${torch[$module]}" != no ]] || complain "$file: '$module' is free of torch" ;;
      CLI/*) [[ "$module" == app ]] || complain "$file: only apps/ knows the command line" ;;
    esac
  done < <(cd "$root" && grep -rHoE '^[[:space:]]*#[[:space:]]*include[[:space:]]*["<][^">]+' lib apps --include='*.h' --include='*.cpp' |
           sed -E 's/:[[:space:]]*#[[:space:]]*include[[:space:]]*["<]/:/')
  [[ $violations == 0 ]]
}

if [[ "${2:-}" != --self-test ]]; then
  check "$root" || exit 1
  exit 0
fi

copy="$(mktemp -d)"
trap 'rm -rf "$copy"' EXIT
mkdir "$copy/lib" "$copy/cmake"
cp "$root/cmake/modules.cmake" "$copy/cmake/"
cp -r "$root/apps" "$copy/apps"
cp -r "$root/lib/loraproof" "$copy/lib/"
check "$copy" > /dev/null || { echo "the copy was not clean to begin with"; exit 1; }
plant() {  # plant FILE INCLUDE: the check must fail with it and name the file
  local file="$copy/$1" found
  cp "$file" "$copy/saved"
  printf '%s\n' "$2" >> "$file"
  if found="$(check "$copy")"; then
    echo "not found: $2 in $1"; exit 1
  fi
  [[ "$found" == "$1: "* ]] || { echo "the message does not name $1: $found"; exit 1; }
  cp "$copy/saved" "$file"
}
plant lib/loraproof/core/json.h '#include "loraproof/io/safetensors.h"'         # upwards
plant lib/loraproof/io/safetensors.cpp '#include "loraproof/text/tokenizer.h"'  # sideways
plant lib/loraproof/report/gate.h '  #  include <loraproof/stats/divergence.h>'
plant lib/loraproof/text/bpe.cpp '#include <ATen/core/Tensor.h>'
plant lib/loraproof/merge/plan.h '#include <ATen/core/Tensor.h>'
plant lib/loraproof/stats/divergence.h '#include <c10/util/Exception.h>'
plant lib/loraproof/engine/sweep.cpp '#include <torch/torch.h>'
plant lib/loraproof/commands/validate.h '#include <CLI/CLI.hpp>'
plant apps/loraproof/main.cpp '#include "loraproof/engine/sweep.h"'
