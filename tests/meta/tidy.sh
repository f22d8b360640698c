#!/usr/bin/env bash
# clang-tidy 14 with .clang-tidy on sources of lib/, apps/ and tests/.
#   tests/meta/tidy.sh BUILD ROOT --changed          what the last commit and the working tree changed:
#                                                    10 files at most, in about 5 minutes
#   tests/meta/tidy.sh BUILD ROOT --ci               the same, and nothing where the variable CI is not set
#   tests/meta/tidy.sh BUILD ROOT --all              everything (an hour or two of processor time)
#   tests/meta/tidy.sh BUILD ROOT FILE...            these; a header by way of its source
#   tests/meta/tidy.sh BUILD ROOT --self-test        faults planted in a file of its own must be found
# BUILD is configured like the preset tidy (nothing is built); LORAPROOF_TIDY_JOBS bounds how many run at once.
# Skipped without clang-tidy 14; with LORAPROOF_REQUIRE_LIVE=1, as in CI, that fails.
set -euo pipefail
build="$1"
root="$(cd "$2" && pwd)"
shift 2
cd "$root"
tidy=""
for name in clang-tidy-14 clang-tidy; do
  if command -v "$name" > /dev/null && "$name" --version | grep -q 'version 14\.'; then tidy="$name"; break; fi
done
if [[ -z "$tidy" ]]; then
  echo "clang-tidy 14 was not found (scripts/test installs it on Debian 12)"
  [[ "${LORAPROOF_REQUIRE_LIVE:-0}" == 1 ]] && exit 1
  exit 77
fi

self_test() {
  local copy file clean faults check fault found line
  copy="$(mktemp -d)"
  trap "rm -rf '$copy'" EXIT
  cp .clang-tidy "$copy/"
  file="$copy/planted.cpp"
  lint() { "$tidy" --quiet "$file" -- -std=c++20 2> /dev/null; }
  clean='#include <string>
#include <utility>
#include <vector>
struct Base {
  virtual ~Base() = default;
  virtual int f() { return 1; }
};
std::size_t size(const std::vector<std::string>& names) {
  std::size_t size = 0;
  for (const std::string& name : names) size += name.size();
  return size;
}'
  printf '%s\n' "$clean" > "$file"
  lint || { echo "the file was not clean to begin with"; exit 1; }
  faults='modernize-use-override|struct A : Base { virtual int f() { return 2; } };
bugprone-use-after-move|int g(std::string a) { std::string b = std::move(a); return int(a.size() + b.size()); }
performance-for-range-copy|int h(const std::vector<std::string>& a) { int n = 0; for (const auto b : a) n += b[0]; return n; }
google-explicit-constructor|struct B { B(int a) : b(a) {} int b; };
misc-redundant-expression|bool i(int a) { return a == 1 && a == 1; }
readability-container-size-empty|bool j(const std::string& a) { return a.size() == 0; }'
  sed 's/^[^|]*|//' <<< "$faults" >> "$file"
  if found="$(lint)"; then echo "found nothing in $(cat "$file")"; exit 1; fi
  line="$(wc -l <<< "$clean")"
  while IFS='|' read -r check fault; do
    line=$((line + 1))
    grep -q "planted.cpp:$line:.*\[$check," <<< "$found" || { echo "not found: $fault"; exit 1; }
  done <<< "$faults"
}

if [[ "$1" == --self-test ]]; then self_test; exit 0; fi
if [[ "$1" == --ci && -z "${CI:-}" ]]; then
  echo "CI checks what the last commit changed; by hand: tests/meta/tidy.sh build/tidy . --changed"
  exit 77
fi

files=()
most=1000000
seconds=1000000
case "$1" in
  --all) mapfile -t files < <(find lib apps tests -name '*.cpp' | sort) ;;
  --changed | --ci)
    if ! git rev-parse -q --verify 'HEAD~1^{commit}' > /dev/null 2>&1; then
      echo "no commit before this one here (a shallow clone, or no git)"
      exit 77
    fi
    mapfile -t files < <(git diff --name-only --diff-filter=d --relative HEAD~1 -- '*.cpp' '*.h')
    most=10
    seconds=300 ;;
  *) files=("$@") ;;
esac
[[ ${#files[@]} -gt 0 ]] || { echo "no source was changed"; exit 0; }

configured="$(cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLORAPROOF_PCH=OFF 2>&1)" ||
  { echo "$configured"; exit 1; }
build="$(cd "$build" && pwd)"
compiled() { grep -qF "\"file\": \"$1\"" "$build/compile_commands.json"; }

# A header is seen by way of its source, or of the unit that tests/meta makes of a header without one.
units=()
for file in "${files[@]}"; do
  unit="$root/${file%.h}"
  [[ "$file" != *.h ]] || unit+=.cpp
  if [[ "$file" == *.h ]] && ! compiled "$unit"; then
    name="${file#lib/}"
    unit="$build/tests/meta/headers/${name//[^a-zA-Z0-9]/_}.cpp"
  fi
  if compiled "$unit"; then units+=("$unit"); else echo "not checked, as no target compiles it alone: $file"; fi
done
[[ ${#units[@]} -gt 0 ]] || exit 0
mapfile -t units < <(printf '%s\n' "${units[@]}" | awk '!seen[$0]++')
if ((${#units[@]} > most)); then
  printf 'left out, as %d files are the most: %s\n' "$most" "${units[*]:most}"
  units=("${units[@]:0:most}")
fi

# clang 14 has no omp.h of its own; the parallel loops are checked as serial ones.
export tidy build deadline=$(($(date +%s) + seconds))
lint() {
  local log="$2/${1//\//_}" left=$((deadline - $(date +%s))) failed=0
  if ((left <= 0)); then echo "left out, as the time is over: $1"; return 0; fi
  timeout "$((left + 120))" "$tidy" -p "$build" --quiet --extra-arg=-fno-openmp "$1" 2> "$log" || failed=$?
  case $failed in
    0) return 0 ;;
    124) echo "given up, as the time is over: $1"; return 0 ;;
  esac
  grep -hE '(^|: )(error|fatal error): ' "$log" || true
  return 1
}
export -f lint
logs="$(mktemp -d)"
trap 'rm -rf "$logs"' EXIT
printf '%s\0' "${units[@]}" |
  xargs -0 -n 1 -P "${LORAPROOF_TIDY_JOBS:-$(nproc)}" bash -c 'lint "$1" "$0"' "$logs" || exit 1
echo "$(find "$logs" -type f | wc -l) units checked"
