// SPDX-License-Identifier: Apache-2.0
// The "normalizer" of tokenizer.json: NFC, Prepend, Replace (of a literal string) and Sequence.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "loraproof/core/json_fwd.h"

namespace loraproof::text {

class Normalizer {
 public:
  Normalizer() = default;
  /// `node`: the component, or null for none. Unknown types and options are refused by name.
  [[nodiscard]] static Normalizer from_json(const Json& node, std::string_view file);

  /// `text` itself when nothing changes it, else a view into `storage`.
  [[nodiscard]] std::string_view apply(std::string_view text, std::string& storage) const;

  /// True when a piece's first character may stand for text that was not its beginning (Prepend,
  /// Replace): Metaspace's "first" rule cannot be decided then.
  [[nodiscard]] bool shifts_text() const;

 private:
  enum class Kind { Nfc, Prepend, Replace };
  struct Step {
    Kind kind = Kind::Nfc;
    std::string pattern;
    std::string content;
  };
  void add(const JsonObject& component, int depth);
  std::vector<Step> steps_;
};

}  // namespace loraproof::text
