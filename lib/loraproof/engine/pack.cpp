// SPDX-License-Identifier: Apache-2.0
#include "loraproof/engine/pack.h"

#include "loraproof/core/error.h"

namespace loraproof::engine {

void Pack::add(std::span<const std::int32_t> tokens, std::int64_t start) {
  if (tokens.empty()) throw internal_error({.message = "an empty token sequence cannot be packed"});
  ids.insert(ids.end(), tokens.begin(), tokens.end());
  starts.push_back(start);
  lengths.push_back(static_cast<std::int64_t>(tokens.size()));
}

std::vector<Pack> pack_sequences(std::span<const std::vector<std::int32_t>> sequences,
                                 std::int64_t max_tokens) {
  std::vector<Pack> packs;
  for (const auto& tokens : sequences) {
    const auto length = static_cast<std::int64_t>(tokens.size());
    if (packs.empty() || packs.back().num_tokens() + length > max_tokens) packs.emplace_back();
    packs.back().add(tokens);
  }
  return packs;
}

}  // namespace loraproof::engine
