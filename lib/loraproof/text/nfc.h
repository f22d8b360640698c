// SPDX-License-Identifier: Apache-2.0
// Normalisation form C with the (old) Unicode data that Hugging Face `tokenizers` uses.
#pragma once

#include <string>
#include <string_view>

namespace loraproof::text {

/// True when the quick check already says that `text` (valid UTF-8) is its own NFC.
[[nodiscard]] bool is_surely_nfc(std::string_view text);

/// NFC of valid UTF-8. O(n) but for runs of combining marks, which are sorted stably.
[[nodiscard]] std::string nfc(std::string_view text);

}  // namespace loraproof::text
