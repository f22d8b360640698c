#!/usr/bin/env bash
# scripts/bootstrap for an ordinary user: where packages are missing and neither root nor sudo is to be had, it names them once and
# installs nothing; where none is missing it needs no root, and takes a bare libtorch folder.
#   tests/meta/bootstrap.sh ROOT
set -euo pipefail
root="$1"
work="$(mktemp -d)"; trap 'rm -rf "$work"' EXIT
fail() { echo "$1"; cat "$work/said"; exit 1; }
fake() { printf '#!/bin/sh\n%s\n' "$2" > "$work/bin/$1"; chmod +x "$work/bin/$1"; }
mkdir "$work/bin"
fake id 'echo 1000'
fake apt-get 'echo "apt-get $*" >> "'"$work"'/installed"'
fake sudo 'exit 1'
bootstrap() { HOME="$work" PATH="$work/bin:$PATH" LORAPROOF_TORCH='' "$root/scripts/bootstrap" < /dev/null > "$work/out" 2> "$work/said"; }

fake dpkg-query 'case "$*" in *libfmt-dev | *libspectra-dev) exit 1 ;; esac; echo "install ok installed"'
if LORAPROOF_ORACLES=0 bootstrap; then fail "missing packages were not noticed"; fi
[[ "$(grep -o 'libfmt-dev' "$work/said" | wc -l)" == 1 ]] || fail "libfmt-dev is not named once"
grep -qx '  apt-get install libfmt-dev libspectra-dev' "$work/said" || fail "the command for root is not named"
[[ ! -e "$work/installed" ]] || fail "apt-get was run without root"

fake dpkg-query 'echo "install ok installed"'
mkdir -p "$work/libtorch/include/ATen" "$work/libtorch/lib"
touch "$work/libtorch/include/ATen/ATen.h" "$work/libtorch/lib/libtorch.so"
CMAKE_PREFIX_PATH="/nowhere:$work/libtorch" LORAPROOF_ORACLES=0 bootstrap || fail "a bare libtorch was not taken"
grep -q 'using the libtorch in CMAKE_PREFIX_PATH' "$work/said" || fail "the bare libtorch is not named"
[[ -x "$(tail -n 1 "$work/out")" ]] || fail "the last line is no Python: $(cat "$work/out")"
