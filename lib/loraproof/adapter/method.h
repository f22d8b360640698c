// SPDX-License-Identifier: Apache-2.0
// PEFT's methods whose adapters can be merged into weights, and what their configurations say
// beside the fields that they share with LoRA (peft 0.21.2 tuners/*/config.py).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace loraproof::adapter {

/// How an adapter changes weights. A merge takes all of them, a forward LoRA only.
enum class Method {
  Lora,
  Ia3,   ///< W·l, by rows (outputs) or columns (inputs)
  Loha,  ///< W + s (A1·B1) ∘ (A2·B2)
  Lokr,  ///< W + s (C ⊗ D)
  Vera,  ///< W + diag(b)·B·diag(d)·A with A and B of the whole adapter
  Oft,   ///< W·Rᵀ, R block-diagonal
  Boft   ///< diag(s)·W·Rᵀ, R a product of permuted block-diagonal matrices
};

struct MethodSettings {
  bool effective_conv = false;  ///< LoHa, LoKr: kernels have a factor of their own

  bool decompose_both = false;         ///< LoKr: the left factor may be a product as well
  std::int64_t decompose_factor = -1;  ///< LoKr: -1: factors near the square root

  std::int64_t oft_blocks = 0;  ///< OFT's r: blocks of each layer; 0: from oft_block_size
  std::int64_t oft_block_size = 32;
  bool block_share = false;  ///< OFT: one block for all places
  bool coft = false;         ///< OFT: the norm of a block is limited
  double coft_eps = 6e-5;
  /// OFT: length of the series that stands for Cayley's transform; nothing: the transform itself.
  std::optional<std::int64_t> neumann_terms;

  std::int64_t boft_block_size = 4;  ///< 0: from boft_blocks
  std::int64_t boft_blocks = 0;
  std::int64_t butterfly_factors = 1;
};

/// As peft_type has it: "IA3".
[[nodiscard]] std::string_view name_of(Method method);
[[nodiscard]] std::optional<Method> method_named(std::string_view peft_type);

}  // namespace loraproof::adapter
