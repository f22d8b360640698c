// SPDX-License-Identifier: Apache-2.0
// Python's operators, attributes and text formatting on values.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "loraproof/text/jinja/evaluator.h"

namespace loraproof::text::jinja {

// Operators and attributes (operators.cpp, attributes.cpp).
[[nodiscard]] Value binary_operator(const std::string& op, const Value& a, const Value& b);
[[nodiscard]] Value negate(const Value& a);
[[nodiscard]] Value slice(const Value& object, const std::optional<Value>& start,
                          const std::optional<Value>& stop, const std::optional<Value>& step);
/// The method or attribute that Python's object itself has, without looking at a dict's keys.
[[nodiscard]] std::optional<Value> own_attribute(const Value& object, const std::string& name);
[[nodiscard]] std::optional<Value> string_method(const Value& self, const std::string& name);
[[nodiscard]] std::optional<Value> loop_attribute(const Value& loop, const std::string& name);

// Formatting (format.cpp).
[[nodiscard]] std::string percent_format(std::string_view format, const Value& arguments);
[[nodiscard]] std::string escape_html(std::string_view text);
[[nodiscard]] std::string brace_format(Evaluator& evaluator, std::string_view format,
                                       const Args& args);

/// Appends with the limit of one string, so that a hostile template fails before it allocates.
class BoundedText {
 public:
  void add(std::string_view part) {
    if (text_.size() + part.size() > Limits::kString) {
      fail_limit("a string of the template grows too long");
    }
    text_ += part;
  }
  void repeat(std::string_view part, std::int64_t count);
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  std::string text_;
};
/// str.replace() with at most `count` replacements (all when negative).
[[nodiscard]] std::string replace_text(std::string_view text, std::string_view from,
                                       std::string_view to, std::int64_t count);

}  // namespace loraproof::text::jinja
