// SPDX-License-Identifier: Apache-2.0
// The changes that adapters of other methods than LoRA make to a weight, from the definitions in
// peft 0.21.2 tuners/*/layer.py. All work on one row of the stored weight at a time, in f64.
#pragma once

#include <functional>
#include <memory>

#include "loraproof/adapter/placement.h"
#include "loraproof/merge/change.h"

namespace loraproof::merge {

// `placed`: with a method; outlives what is made of it.

/// The change is a sum, so that it can be weighted and added to others.
[[nodiscard]] bool is_sum(adapter::Method method);

/// VeRA. `transposed`: the weight is stored as [in, out].
[[nodiscard]] Term low_rank_term(const adapter::PlacedModule& placed, bool transposed,
                                 double weight);

/// LoHa and LoKr, of a weight as rows of outputs.
[[nodiscard]] MakeRowTerm row_term(const adapter::PlacedModule& placed, double weight);

/// IA3, OFT and BOFT. `embedding`: OFT turns what comes out of one, not what goes in.
[[nodiscard]] MakeTransform transform(const adapter::PlacedModule& placed, bool transposed,
                                      bool embedding);

/// IA3's change of the bias [out], one row for each output; null where it stays.
[[nodiscard]] MakeTransform bias_transform(const adapter::PlacedModule& placed);

}  // namespace loraproof::merge
