// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/unit.h"

namespace loraproof::drift {

void Unit::clear() {
  ids.clear();
  ends.clear();
  figures = {};
  has_text = true;
  records = empty_records = finished_records = truncated_records = judged_records = refusals = 0;
  features.clear();
}

}  // namespace loraproof::drift
