#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the build tree into an empty prefix, runs the installed binary, and builds and runs a project that finds the
# package there: install_test.sh CMAKE BUILD_DIR SOURCE_DIR WORK_DIR PREFIX_PATH
set -eu
cmake=$1 build=$2 source=$3 work=$4 prefix_path=$5
rm -rf "$work"
mkdir -p "$work"
"$cmake" --install "$build" --prefix "$work/prefix" >"$work/install.log"
"$work/prefix/bin/loraproof" --version
# A command that computes: the engine is found, and libtorch by it.
"$work/prefix/bin/loraproof" inspect "$source/examples/demo-model/adapter" >"$work/inspect.txt"
test -f "$work/prefix/include/loraproof/io/safetensors.h"
"$cmake" -S "$source/tests/install/consumer" -B "$work/consumer" -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="$work/prefix;$prefix_path" >"$work/configure.log" 2>&1 || { cat "$work/configure.log"; exit 1; }
"$cmake" --build "$work/consumer" >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
"$work/consumer/consumer"
