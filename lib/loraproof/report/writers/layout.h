// SPDX-License-Identifier: Apache-2.0
// Text for terminals: strings from files made safe to print, and wrapped lines. Nothing is ever
// cut.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace loraproof::report {

/// The text with every control character, direction override and invalid UTF-8 byte replaced by a
/// visible escape, so that a tensor name or an answer can't move the cursor or forge a line. Line
/// ends become "\n" as two characters.
[[nodiscard]] std::string printable(std::string_view text);

/// Code points, which is the width of everything but wide and combining characters.
[[nodiscard]] std::size_t display_width(std::string_view text);

/// `lead` and then the words of `text`, lines of at most `width` columns where words allow it, each
/// further line indented by `indent` spaces. Ends with a line end. A longer word is not broken.
[[nodiscard]] std::string wrapped(std::string_view lead, std::string_view text, std::size_t indent,
                                  std::size_t width);

/// `text` filled with spaces to `width` columns.
[[nodiscard]] std::string padded(std::string_view text, std::size_t width);

}  // namespace loraproof::report
