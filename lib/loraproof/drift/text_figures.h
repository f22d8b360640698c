// SPDX-License-Identifier: Apache-2.0
// What can be counted in a text without a tokenizer: letters by script, digits, URLs, code, markers
// of chat templates; and whether an answer begins as refusals do. Ranges of code points and lists
// of spellings, no language detection.
#pragma once

#include <string_view>

#include "loraproof/drift/unit.h"

namespace loraproof::drift {

/// `text`: valid UTF-8.
[[nodiscard]] TextFigures scan_text(std::string_view text);

/// True when the text begins, after white space and quotes, with a usual English refusal ("I'm
/// sorry, but", "I can't help"). A proxy: it counts openings, it does not understand them.
[[nodiscard]] bool begins_as_refusal(std::string_view text);

}  // namespace loraproof::drift
