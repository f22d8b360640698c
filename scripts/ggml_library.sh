#!/usr/bin/env bash
# Makes libggml_quants.so, ggml's reference code of GGUF types, for the live test of quantisation: from
# the sources in the llama_cpp_python package (77 MB), of which one C file is compiled.
#   scripts/ggml_library.sh [PYTHON]
# LORAPROOF_GGML names another place than ~/.cache/loraproof/ggml. Does nothing where it is there.
set -euo pipefail
python="${1:-python3}"
library="${LORAPROOF_GGML:-${XDG_CACHE_HOME:-$HOME/.cache}/loraproof/ggml/libggml_quants.so}"
package=llama_cpp_python
version=0.3.36
[ ! -f "$library" ] || exit 0

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
"$python" -m pip download -q --disable-pip-version-check --no-deps --no-binary "$package" -d "$work" "$package==$version"
tar -xzf "$work/$package-$version.tar.gz" -C "$work" --wildcards '*/vendor/llama.cpp/ggml/src/*.[ch]' '*/vendor/llama.cpp/ggml/include/*'
ggml="$work/$package-$version/vendor/llama.cpp/ggml"
mkdir -p "$(dirname "$library")"
# As a Release build of ggml-base for x86-64: no fused multiply-add, and no assertions.
cc -O2 -shared -fPIC -ffp-contract=off -std=c11 -D_GNU_SOURCE -DNDEBUG -I"$ggml/include" -I"$ggml/src" \
  "$ggml/src/ggml-quants.c" -o "$work/library.so" -lm
mv "$work/library.so" "$library"
