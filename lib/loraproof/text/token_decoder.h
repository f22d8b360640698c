// SPDX-License-Identifier: Apache-2.0
// The "decoder" of tokenizer.json: ByteLevel, ByteFallback, Fuse, Strip, Replace (of a literal
// string), Metaspace and Sequence.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/core/json_fwd.h"

namespace loraproof::text {

class TokenDecoder {
 public:
  TokenDecoder() = default;
  /// `node`: the component, or null for none (tokens are then joined by spaces).
  [[nodiscard]] static TokenDecoder from_json(const Json& node, std::string_view file);

  /// The text of a list of tokens.
  [[nodiscard]] std::string decode(std::vector<std::string> tokens) const;

 private:
  enum class Kind { ByteLevel, ByteFallback, Fuse, Strip, Replace, Metaspace };
  struct Step {
    Kind kind = Kind::Fuse;
    std::string pattern;    // Replace; the character of Strip and Metaspace
    std::string content;    // Replace; the space of Metaspace
    std::size_t start = 0;  // Strip: at most so many characters
    std::size_t stop = 0;
    bool drop_first = false;  // Metaspace: token 0 loses its marks
  };
  void add(const JsonObject& component, int depth);
  void add_metaspace(const JsonObject& component);
  void add_strip(const JsonObject& component);
  static void apply(const Step& step, std::vector<std::string>& tokens, std::size_t limit);

  bool none_ = true;
  std::vector<Step> steps_;
};

}  // namespace loraproof::text
