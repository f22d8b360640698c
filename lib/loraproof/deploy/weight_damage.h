// SPDX-License-Identifier: Apache-2.0
// What a deployment did to one weight.
#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>

#include "loraproof/deploy/layer_inputs.h"
#include "loraproof/merge/low_rank.h"
#include "loraproof/quant/quantiser.h"

namespace loraproof::deploy {

/// Sums run in f32, over columns in f64.
struct WeightDamage {
  /// Of the intended change D and the deployed one E = deployed weight - W; survival() is rho.
  merge::MergeSums change;
  /// The same sums, each column weighted by the mean square of its input in the reference (the
  /// importance matrix of llama.cpp): the change of the layer's output, were inputs uncorrelated.
  /// Zero where no inputs were seen.
  merge::MergeSums weighted;
  double error2 = 0;                  ///< squares of what quantising alone changed
  std::int64_t outlier_channels = 0;  ///< inputs that reach quant::kOutlier somewhere
  double largest_input = 0;
  std::uint64_t bytes = 0;
  quant::Tally tally;

  WeightDamage& operator+=(const WeightDamage& other);
  /// Of quantising, in dB: 10 log10(<W,W> / error2); infinite without an error.
  [[nodiscard]] double sqnr() const;
  /// |f'(x) - f(x)|^2 / |f(x)|^2 of the layer f that was meant and f' that is deployed, by
  /// `weighted` where inputs were seen, else by `change`.
  [[nodiscard]] double output_error() const;
};

/// Fills `change` and `weighted`. `base` W, `intended` D (undefined: none) and `actual` E are [O,
/// I] f32 on the CPU; `inputs` may be null.
void add_sums(WeightDamage& damage, const at::Tensor& base, const at::Tensor& intended,
              const at::Tensor& actual, const InputStatistics* inputs);

}  // namespace loraproof::deploy
