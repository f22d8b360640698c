#!/usr/bin/env bash
# Headers of the modules that use torch compile alone (-fsyntax-only, with the flags and the precompiled
# header of the module's own sources, taken from compile_commands.json).
#   tests/meta/headers_alone.sh BUILD ROOT MODULE...
set -euo pipefail
build="$1"
root="$2"
shift 2
failed=0
for module in "$@"; do
  # One command line per module: the first source that stands in it and uses torch.
  command="$(grep -m 1 -E "\"command\": .*/torch/include.*-c $root/lib/loraproof/$module/[a-z_/]+\.cpp\"" "$build/compile_commands.json" |
             sed -E 's/^[^:]*: "//; s/",?$//; s/ -o [^ ]+ -c [^ ]+$//; s/\\"/"/g; s/\\\\/\\/g')"
  [[ -n "$command" ]] || { echo "no compile command of module $module"; exit 1; }
  while IFS= read -r header; do
    echo "#include \"${header#"$root"/lib/}\"" > "$build/header_alone.cpp"
    if ! (cd "$build" && eval "nice $command -fsyntax-only header_alone.cpp"); then
      echo "$header does not compile alone"
      failed=1
    fi
  done < <(find "$root/lib/loraproof/$module" -name '*.h' | sort)
done
rm -f "$build/header_alone.cpp"
exit $failed
