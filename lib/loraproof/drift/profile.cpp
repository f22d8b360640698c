// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/profile.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace loraproof::drift {
namespace {

constexpr std::uint64_t kMaxLogged = std::uint64_t{1} << 40;

// floor((101/99)^k) for k = 0, 1, ... up to 2^40, in fixed point with 80 fractional bits. Each step
// rounds down, so the error of step k is below k * 2^-80 of the value; no power up to 2^40 is that
// near above an integer (tests/oracles/drift_values.py has the exact integers).
const std::vector<std::uint64_t>& thresholds() {
  static const std::vector<std::uint64_t> table = [] {
    using Unsigned128 = unsigned __int128;
    std::vector<std::uint64_t> out;
    for (Unsigned128 power = Unsigned128{1} << 80;;
         power = power / 99 * 101 + power % 99 * 101 / 99) {
      out.push_back(static_cast<std::uint64_t>(power >> 80));
      if (out.back() >= kMaxLogged) return out;
    }
  }();
  return table;
}

}  // namespace

std::string_view name_of(Lens lens) {
  static constexpr std::array<std::string_view, kLensCount> kNames = {"length_tokens",
                                                                      "length_bytes",
                                                                      "tokens_per_byte",
                                                                      "unseen_tokens",
                                                                      "fallback_tokens",
                                                                      "special_tokens",
                                                                      "template_markers",
                                                                      "script_latin",
                                                                      "script_cyrillic",
                                                                      "script_han",
                                                                      "script_arabic",
                                                                      "script_devanagari",
                                                                      "script_kana",
                                                                      "script_hangul",
                                                                      "script_other",
                                                                      "digits",
                                                                      "url",
                                                                      "code_fence",
                                                                      "distinct_two",
                                                                      "novelty",
                                                                      "empty",
                                                                      "truncated",
                                                                      "refusal"};
  return kNames[static_cast<std::size_t>(lens)];
}

std::string_view name_of(Malformed kind) {
  static constexpr std::array<std::string_view, kMalformedKinds> kNames = {
      "not JSON", "field missing", "lone surrogate", "not UTF-8",
      "binary",   "too long",      "wrong type"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::int32_t log_key(std::uint64_t value) {
  const auto& table = thresholds();
  const auto at =
      std::lower_bound(table.begin(), table.end(), std::clamp(value, std::uint64_t{1}, kMaxLogged));
  return static_cast<std::int32_t>(at - table.begin());
}

double log_value(std::int32_t key) {
  constexpr double kGamma = 101.0 / 99.0;  // (1 + a) / (1 - a), a = 1 %
  return 2 * std::pow(kGamma, key) / (kGamma + 1);
}

std::int32_t max_log_key() { return static_cast<std::int32_t>(thresholds().size()) - 1; }

Counts empty_counts() {
  Counts out;
  out.bigram_df.assign(kBigramCells, 0);
  out.sketch_sum.assign(kSketchSize, 0);
  out.sketch_products.assign(triangle_size(kSketchSize), 0);
  out.group_products.assign(triangle_size(kGroups), 0);
  return out;
}

Profile empty_profile() {
  Profile out;
  static_cast<Counts&>(out) = empty_counts();
  return out;
}

}  // namespace loraproof::drift
