#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the folder of SmolLM2-135M-Instruct that the live tests read: smollm2_model.sh DIR. Where that
# can't be done (no network, no package), the test is skipped, or fails with LORAPROOF_REQUIRE_LIVE=1.
here=$(dirname "$0")
"$here/with_python.sh" "$here/../../scripts/models/make_smollm2.py" --out "$1" && exit 0
[ "${LORAPROOF_REQUIRE_LIVE:-0}" = 1 ] && exit 1
exit 77
