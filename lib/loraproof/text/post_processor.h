// SPDX-License-Identifier: Apache-2.0
// The "post_processor" of tokenizer.json: TemplateProcessing (one text, not pairs), ByteLevel (it
// changes offsets only, so nothing here) and Sequence.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "loraproof/core/json_fwd.h"

namespace loraproof::text {

class PostProcessor {
 public:
  PostProcessor() = default;
  /// `node`: the component, or null for none.
  [[nodiscard]] static PostProcessor from_json(const Json& node, std::string_view file);

  /// The ids of the whole text; the template's special tokens only with `add_special_tokens`.
  [[nodiscard]] std::vector<std::int32_t> apply(std::vector<std::int32_t> ids,
                                                bool add_special_tokens) const;

 private:
  struct Piece {
    bool text = false;              // the text's own ids
    std::vector<std::int32_t> ids;  // else these
  };
  void add(const JsonObject& component, int depth);
  void add_template(const JsonObject& component);

  bool has_template_ = false;
  std::vector<Piece> template_;
};

}  // namespace loraproof::text
