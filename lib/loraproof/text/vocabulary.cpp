// SPDX-License-Identifier: Apache-2.0
#include "loraproof/text/vocabulary.h"

#include <algorithm>
#include <fmt/format.h>

#include "loraproof/core/json.h"

namespace loraproof::text {

Vocabulary::Vocabulary(TokenizerDocument& document)
    : arena_(std::move(document.arena)), size_(static_cast<std::int32_t>(document.vocab.size())) {
  std::int32_t largest = -1;
  for (const auto& entry : document.vocab) largest = std::max(largest, entry.id);
  if (largest < 0) {
    throw input_error(
        {.message = "the vocabulary is empty", .file = document.file, .where = "/model/vocab"});
  }
  tokens_.resize(static_cast<std::size_t>(largest) + 1);
  map_.reserve(document.vocab.size());
  for (const auto& entry : document.vocab) {
    std::string_view& slot = tokens_[static_cast<std::size_t>(entry.id)];
    if (slot.data() != nullptr || !map_.insert(entry.token, entry.id)) {
      throw input_error({.message = slot.data() != nullptr
                                        ? fmt::format("id {} stands twice", entry.id)
                                        : "a token stands twice",
                         .file = document.file,
                         .where = "/model/vocab",
                         .found = brief(Json(std::string(entry.token)), 40)});
    }
    slot = entry.token;
  }
}

}  // namespace loraproof::text
