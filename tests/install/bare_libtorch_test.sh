#!/usr/bin/env bash
# libtorch is found in a bare folder (include/, lib/), without a Python that has torch and without its CMake package; libtorch.so
# stays among the needed libraries although no symbol of it is used (where there is one it loads libtorch_cuda.so); and a
# libtorch_cuda.so whose own libraries are nowhere (no CUDA toolkit, no driver) does not keep a program from being linked.
#   bare_libtorch_test.sh CMAKE SOURCE_DIR WORK_DIR LIBTORCH
set -euo pipefail
cmake=$1 source=$2 work=$3 libtorch=$4
fail() { echo "$1"; exit 1; }
rm -rf "$work"
mkdir -p "$work/libtorch/lib"
# Seen from nowhere: no virtual environment, and a Python without torch on the PATH.
export HOME="$work" PATH=/usr/bin:/bin
unset LORAPROOF_VENV CMAKE_PREFIX_PATH
configure() {  # configure LIBTORCH BUILD_DIR
  "$cmake" -S "$source/tests/install/bare_libtorch" -B "$2" -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$1" \
    -DCMAKE_MODULE_PATH="$source/cmake" > "$2.configure" 2>&1 || { cat "$2.configure"; fail "$1 was not taken"; }
  "$cmake" --build "$2" > "$2.build" 2>&1 || { cat "$2.build"; fail "no program with $1"; }
  readelf -d "$2/bare" | grep -q 'NEEDED.*\[libtorch\.so\]' || { readelf -d "$2/bare"; fail "libtorch.so is not needed"; }
}

ln -s "$libtorch/include" "$work/libtorch/include"
for library in "$libtorch"/lib/*; do ln -s "$library" "$work/libtorch/lib/"; done
configure "$work/libtorch" "$work/bare"
grep -q "found: .* in $work/libtorch\$" "$work/bare.configure" || { cat "$work/bare.configure"; fail "another libtorch was found"; }
"$work/bare/bare" | grep -q 'PyTorch built with' || fail "the program does not run"

# The shape of a CUDA build: libtorch.so needs libtorch_cuda.so, which needs what this machine has not.
cuda="$work/cuda"
mkdir -p "$cuda/lib" "$work/gone"
ln -s "$libtorch/include" "$cuda/include"
ln -s "$libtorch"/lib/libtorch_cpu.so "$libtorch"/lib/libc10.so "$cuda/lib/"
library() {  # library FILE SONAME SOURCE NEEDED...
  local file=$1 soname=$2 text=$3; shift 3
  echo "$text" | "${CXX:-c++}" -shared -fPIC -x c++ - -x none -o "$file" -Wl,-soname,"$soname" -Wl,--no-as-needed "$@"
}
library "$work/gone/libcudart.so.99" libcudart.so.99 'int cuda_runtime() { return 1; }'
library "$cuda/lib/libtorch_cuda.so" libtorch_cuda.so 'int cuda_runtime(); int on_cuda() { return cuda_runtime(); }' "$work/gone/libcudart.so.99"
library "$cuda/lib/libtorch.so" libtorch.so '' "$cuda/lib/libtorch_cuda.so" -Wl,--allow-shlib-undefined
rm -r "$work/gone"
configure "$cuda" "$work/with_cuda"
rm -rf "$work"
