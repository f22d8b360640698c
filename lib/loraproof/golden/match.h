// SPDX-License-Identifier: Apache-2.0
// Does an answer meet what its author expected? Five ways of asking; none of them guesses.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "loraproof/adapter/regex.h"
#include "loraproof/core/json.h"

namespace loraproof::golden {

enum class MatchKind {
  Exact,       ///< the same bytes
  Normalized,  ///< the same after NFC, lower case, and white space cut at the ends and folded
               ///< inside
  Json,        ///< both are one JSON document and equal as values: key order, spaces and the
               ///< spelling of numbers don't count
  Contains,    ///< the expected text stands somewhere in the answer
  Regex,       ///< Python's re.search finds the expected pattern in the answer
};

/// "exact", "normalized", "json", "contains", "regex"; nothing for another name.
[[nodiscard]] std::optional<MatchKind> match_kind_of(std::string_view name);
[[nodiscard]] std::string_view name_of(MatchKind kind);

/// An expectation, checked and prepared when the suite is read. Copies share what was prepared.
class Expectation {
 public:
  /// Throws an input Error at `where` in `file` when `expected` is no JSON document (Json) or no
  /// pattern (Regex).
  Expectation(MatchKind kind, std::string expected, const std::string& file,
              const std::string& where);

  [[nodiscard]] MatchKind kind() const { return kind_; }
  [[nodiscard]] const std::string& text() const { return text_; }
  /// True when the expected text is itself an answer, so that its likelihood can be measured.
  [[nodiscard]] bool is_answer() const {
    return kind_ != MatchKind::Contains && kind_ != MatchKind::Regex;
  }

  /// Thread-safe, on copies too. A regular expression that exceeds its step limit on this answer is
  /// an input Error.
  [[nodiscard]] bool met_by(std::string_view answer) const;

 private:
  MatchKind kind_;
  std::string text_;
  std::string normalized_;
  Json json_;
  std::shared_ptr<const adapter::PythonRegex> regex_;
};

}  // namespace loraproof::golden
