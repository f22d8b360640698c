// SPDX-License-Identifier: Apache-2.0
// Several adapters as one, by the methods of PEFT's add_weighted_adapter (peft 0.21.2
// tuners/lora/model.py and utils/merge_utils.py), in f64.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "loraproof/merge/low_rank.h"

namespace loraproof::merge {

enum class Combination {
  Cat,             ///< the exact weighted sum of the changes
  Linear,          ///< weighted sums of the A and of the B: not the sum of their products
  Ties,            ///< prune by magnitude, elect signs, average what agrees (Yadav et al. 2023)
  DareLinear,      ///< drop at random and rescale (Yu et al. 2023), then as Linear
  DareTies,        ///< drop at random, then elect signs
  MagnitudePrune,  ///< prune by magnitude, then as Linear
  Svd,             ///< the sum, cut to a rank
};

struct CombineOptions {
  Combination how = Combination::Cat;
  double density = 1;              ///< share that pruning and dropping keep
  bool sign_by_frequency = false;  ///< elect signs by count instead of by sum
  std::int64_t rank = 0;           ///< Svd: of the result; 0: the largest of the adapters
  std::uint64_t seed = 0;          ///< of the dropping
};

/// scale · left · right of one adapter.
struct Product {
  Factor left, right;
  double scale = 1;
  bool left_is_a = false;  ///< the weight is stored turned: a negative scale goes to A, as in PEFT
};

/// True where the method works on each factor alone, so that all adapters need one rank.
[[nodiscard]] bool needs_equal_ranks(Combination how);

/// Adds the combination to `low_rank`. `name`: of the weight, so that what is dropped does not
/// depend on the order of the work. Among values of equal size pruning keeps the first ones; PEFT's
/// choice is not specified.
void combine(LowRank& low_rank, const std::vector<Product>& products, const CombineOptions& options,
             const std::string& name);

}  // namespace loraproof::merge
