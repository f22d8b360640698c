// SPDX-License-Identifier: Apache-2.0
// Rotary position embeddings of the Llama family: default, linear, dynamic (NTK), yarn and llama3
// scaling, each as transformers modeling_rope_utils.py computes it (f32).
#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace loraproof::nn {

struct RopeConfig {
  enum class Kind { Default, Linear, Dynamic, Yarn, Llama3 };
  Kind kind = Kind::Default;
  std::int64_t head_dim = 0;
  double theta = 10000.0;
  double factor = 1.0;
  std::int64_t max_positions = 0;           ///< config.max_position_embeddings
  std::int64_t original_max_positions = 0;  ///< yarn, llama3
  double low_freq_factor = 1.0;             ///< llama3
  double high_freq_factor = 4.0;            ///< llama3
  std::optional<double> attention_factor;   ///< yarn
  std::optional<double> mscale;             ///< yarn
  std::optional<double> mscale_all_dim;     ///< yarn
  double beta_fast = 32.0;                  ///< yarn
  double beta_slow = 1.0;                   ///< yarn
  bool truncate = true;                     ///< yarn
};

/// Inverse frequencies [Dh/2] f32 and the factor on cos and sin, for a sequence of `length` tokens
/// (only `dynamic` depends on it, above max_positions).
struct RopeFrequencies {
  at::Tensor inverse;  ///< [Dh/2] f32, CPU
  double attention_factor = 1.0;
};
[[nodiscard]] RopeFrequencies rope_frequencies(const RopeConfig& config, std::int64_t length);

/// cos and sin [N, Dh] in `like`'s type and device for the concatenated positions of ragged
/// sequences: sequence i holds positions starts[i] .. starts[i] + lengths[i] - 1.
struct RopeTable {
  at::Tensor cos;
  at::Tensor sin;
};
[[nodiscard]] RopeTable rope_table(const RopeConfig& config,
                                   const std::vector<std::int64_t>& starts,
                                   const std::vector<std::int64_t>& lengths,
                                   const at::TensorOptions& like);

/// Rotates x [N, H, Dh] by its table rows (transformers apply_rotary_pos_emb, rotate_half layout).
[[nodiscard]] at::Tensor apply_rope(const at::Tensor& x, const RopeTable& table);

}  // namespace loraproof::nn
