// SPDX-License-Identifier: Apache-2.0
// Python's `re` for the patterns of adapter_config.json and suites, run by PCRE2 under limits: a
// hostile pattern ends in an input Error, never in a hang. Syntax that Python refuses, or reads
// otherwise than PCRE2, is refused or rewritten before compiling, so a pattern never means
// something else than in PEFT.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace loraproof::adapter {

/// Where a pattern came from, for error messages.
struct PatternOrigin {
  std::string file;   ///< adapter_config.json
  std::string where;  ///< JSON pointer: "/target_modules"
};

/// A compiled pattern. Movable. Const member functions are thread-safe: what a match writes belongs
/// to its call.
class PythonRegex {
 public:
  /// Throws an input Error when Python would not compile `pattern`, or when it uses syntax whose
  /// meaning differs between the engines.
  PythonRegex(std::string_view pattern, PatternOrigin origin);
  ~PythonRegex();
  PythonRegex(PythonRegex&&) noexcept;
  PythonRegex& operator=(PythonRegex&&) noexcept;

  /// re.fullmatch, re.match and re.search as truth values. Throw an input Error when the limits are
  /// exceeded.
  [[nodiscard]] bool full_match(std::string_view text) const;
  [[nodiscard]] bool search(std::string_view text) const;
  [[nodiscard]] bool match(std::string_view text) const;
  /// re.match: the text of a named group, "" when it took no part; nothing without a match.
  [[nodiscard]] std::optional<std::string> match_group(std::string_view text,
                                                       const char* group) const;

 private:
  struct Impl;
  struct Match;
  [[nodiscard]] Match run(std::string_view text, unsigned options) const;
  std::unique_ptr<Impl> impl_;
};

/// Python syntax to PCRE2 syntax with the same meaning. Throws an input Error for what has none.
[[nodiscard]] std::string pcre2_from_python(std::string_view pattern, const PatternOrigin& origin);

}  // namespace loraproof::adapter
