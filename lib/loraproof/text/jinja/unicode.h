// SPDX-License-Identifier: Apache-2.0
// UTF-8 text as Python's str sees it: code points, white space, case. Only what templates need.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace loraproof::text::jinja {

/// True for well-formed UTF-8 (no overlong forms, no surrogates).
[[nodiscard]] bool valid_utf8(std::string_view text);
/// Code points in well-formed UTF-8.
[[nodiscard]] std::size_t count_points(std::string_view text);
[[nodiscard]] std::u32string decode(std::string_view text);
void append_point(std::string& out, char32_t point);
[[nodiscard]] std::string encode(std::u32string_view text);
/// Length in bytes of the character that starts with `lead`.
[[nodiscard]] std::size_t char_bytes(char lead);

[[nodiscard]] bool is_space(char32_t c);
[[nodiscard]] bool is_alpha(char32_t c);
[[nodiscard]] bool is_decimal(char32_t c);
[[nodiscard]] bool is_digit(char32_t c);
[[nodiscard]] bool is_numeric(char32_t c);
[[nodiscard]] bool is_alnum(char32_t c);
[[nodiscard]] bool is_printable(char32_t c);
[[nodiscard]] bool is_lower(char32_t c);
[[nodiscard]] bool is_upper(char32_t c);
[[nodiscard]] bool is_title(char32_t c);

/// str.lower(), str.upper(), str.title(), str.capitalize() and str.swapcase().
[[nodiscard]] std::string to_lower(std::string_view text);
[[nodiscard]] std::string to_upper(std::string_view text);
[[nodiscard]] std::string to_title(std::string_view text);
[[nodiscard]] std::string to_capital(std::string_view text);
[[nodiscard]] std::string swap_case(std::string_view text);

/// strip(): white space, or the characters of `chars` when it is given.
[[nodiscard]] std::string_view strip(std::string_view text, bool left, bool right);
[[nodiscard]] std::string_view strip(std::string_view text, std::string_view chars, bool left,
                                     bool right);
/// str.splitlines().
[[nodiscard]] std::vector<std::string> split_lines(std::string_view text, bool keep_ends);

}  // namespace loraproof::text::jinja
