// SPDX-License-Identifier: Apache-2.0
// One unit as the accumulator takes it: token ids of its texts and what was counted in their
// letters.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace loraproof::drift {

/// What a scan of a text counts. Letters by script as the Lens values Latin ... OtherLetters.
struct TextFigures {
  std::int64_t bytes = 0;
  std::int64_t characters = 0;
  std::array<std::int64_t, 8> letters{};
  std::int64_t digits = 0;
  std::int64_t url_bytes = 0;
  std::int64_t code_bytes = 0;
  std::int64_t markers = 0;

  TextFigures& operator+=(const TextFigures& other);
  friend bool operator==(const TextFigures&, const TextFigures&) = default;
};

/// The value of a categorical field.
struct FeatureValue {
  enum class Kind : std::uint8_t { Value, Other, Missing };
  Kind kind = Kind::Missing;
  std::string value;
};

struct Unit {
  std::vector<std::int32_t> ids;  ///< of all texts
  std::vector<std::size_t> ends;  ///< of each text in `ids`
  TextFigures figures;
  bool has_text = true;  ///< false: pre-tokenised, `figures` says nothing
  std::int64_t records = 0;
  std::int64_t empty_records = 0;     ///< without a token
  std::int64_t finished_records = 0;  ///< with a finish reason
  std::int64_t truncated_records = 0;
  std::int64_t judged_records = 0;  ///< outputs that were looked at for a refusal
  std::int64_t refusals = 0;
  std::vector<FeatureValue> features;

  void clear();
};

/// Calls use(span of ids) for each text.
template <typename Use>
void for_each_text(const Unit& unit, const Use& use) {
  std::size_t begin = 0;
  for (const std::size_t end : unit.ends) {
    use(std::span<const std::int32_t>(unit.ids.data() + begin, end - begin));
    begin = end;
  }
}

}  // namespace loraproof::drift
