#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a live test with the first Python that has the peers (torch, transformers, peft): with_python.sh
# SCRIPT ARGUMENTS. Without one the test is skipped (exit 77), or fails when LORAPROOF_REQUIRE_LIVE=1.
check='
import importlib.util, sys
missing = [m for m in ("torch", "transformers", "peft", "safetensors") if importlib.util.find_spec(m) is None]
sys.exit(1 if missing else 0)'
for python in "${LORAPROOF_PYTHON:-}" "${LORAPROOF_VENV:+$LORAPROOF_VENV/bin/python3}" \
    "$HOME/.cache/loraproof/venv/bin/python3" python3; do
  if [ -n "$python" ] && "$python" -c "$check" 2>/dev/null; then
    exec "$python" "$@"
  fi
done
echo "no Python with torch, transformers and peft: set LORAPROOF_PYTHON to one that has them" >&2
[ "${LORAPROOF_REQUIRE_LIVE:-0}" = 1 ] && exit 1
exit 77
