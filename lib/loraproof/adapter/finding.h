// SPDX-License-Identifier: Apache-2.0
// One thing that is wrong, or worth a note, about an adapter's content. Findings are results, not
// errors: all of them are collected, and the gate decides what they mean for the exit code.
#pragma once

#include <cstdint>
#include <string>

namespace loraproof::adapter {

struct Finding {
  std::string id;       ///< "landing.unused_tensor", "effect.zero_module": stable
  std::string subject;  ///< The first tensor key, module path or field it is about.
  std::string message;
  std::string hint;
  bool fail = true;     ///< false: a note
  std::int64_t n = 1;   ///< How many tensors or modules it covers...
  std::int64_t of = 0;  ///< ...of how many; 0 where that says nothing.
};

}  // namespace loraproof::adapter
