// SPDX-License-Identifier: Apache-2.0
// Hashes of all n-grams of a text at once: several in the lanes of a vector register.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "loraproof/drift/hash.h"

namespace loraproof::drift {

/// bigram_cell() of each pair of neighbours; none of fewer than two ids.
void bigram_cells(const SipKey& key, std::span<const std::int32_t> ids,
                  std::vector<std::uint32_t>& cells);
/// trigram_hash() of each three neighbours; none of fewer than three ids.
void trigram_hashes(const SipKey& key, std::span<const std::int32_t> ids,
                    std::vector<std::uint64_t>& hashes);

}  // namespace loraproof::drift
