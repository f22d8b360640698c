// SPDX-License-Identifier: Apache-2.0
// Which base modules a configuration adapts, saves whole or leaves alone, and with which rank and
// alpha: PEFT's rules (peft 0.21.2 tuners_utils.check_target_module_exists, utils/other.py
// get_pattern_key and _set_trainable) to the letter, oddities included.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "loraproof/adapter/base_modules.h"
#include "loraproof/adapter/config.h"
#include "loraproof/adapter/regex.h"

namespace loraproof::adapter {

enum class TargetVerdict { Unmatched, Targeted, Excluded };

/// The compiled form of a configuration. Const member functions are not thread-safe on one object.
class TargetMatcher {
 public:
  /// Keeps a reference to `config`. Throws an input Error for a pattern that Python's re refuses.
  explicit TargetMatcher(const AdapterConfig& config);

  /// PEFT's decision about one module path. `module` is only needed for target_modules="all-linear"
  /// (nullptr: not a module that can be adapted).
  [[nodiscard]] TargetVerdict verdict(const std::string& path, const BaseModule* module) const;

  /// True when modules_to_save replaces this module, or one that it is part of. As in PEFT a name
  /// matches the END of a path even inside a word: "norm" also saves "input_layernorm".
  [[nodiscard]] bool is_saved_whole(std::string_view path) const;

  /// IA3: the inputs are scaled, not the outputs. A name matches the end of a path, as above.
  [[nodiscard]] bool is_feedforward(const std::string& path) const;

  [[nodiscard]] std::int64_t rank_of(const std::string& path) const;
  [[nodiscard]] double alpha_of(const std::string& path) const;
  /// alpha/r, or alpha/sqrt(r) with rsLoRA, in double.
  [[nodiscard]] double scale_of(const std::string& path) const;

  /// The key of rank_pattern (alpha_pattern) that decides for this path: its index, or nothing.
  [[nodiscard]] std::optional<std::size_t> rank_key_of(const std::string& path) const;
  [[nodiscard]] std::optional<std::size_t> alpha_key_of(const std::string& path) const;

 private:
  [[nodiscard]] bool is_excluded(const std::string& path) const;
  [[nodiscard]] bool is_in_layers(const std::string& path) const;

  const AdapterConfig& config_;
  std::vector<std::string> target_names_;  // sorted
  std::optional<PythonRegex> target_regex_;
  std::optional<PythonRegex> exclude_regex_;
  std::optional<PythonRegex> feedforward_regex_;
  std::vector<PythonRegex> saved_;
  std::vector<PythonRegex> layers_;
  std::vector<PythonRegex> rank_keys_;
  std::vector<PythonRegex> alpha_keys_;
};

/// True when `names` (sorted) holds the path or one of its tails that begin after a dot.
[[nodiscard]] bool names_match(const std::vector<std::string>& names, std::string_view path);

}  // namespace loraproof::adapter
