// SPDX-License-Identifier: Apache-2.0
// What is done to the inputs of a quantised layer when it runs (deploy::quantised_inputs).
#pragma once

namespace loraproof::quant {

/// From this magnitude on LLM.int8() takes an input for an outlier: bitsandbytes' default
/// threshold.
inline constexpr double kOutlier = 6.0;

enum class Activations {
  None,                     ///< computed in 16 or 32 bits
  Int8PerToken,             ///< each token's row by its largest magnitude / 127.5
  Int8PerTokenAndOutliers,  ///< LLM.int8(): inputs of Inputs::outlier or more stay in F16
  E4m3PerToken,             ///< each token's row by its largest magnitude / 448
  E4m3Static,               ///< all by Inputs::scale, from calibration data
  E4m3PerGroup,             ///< of 128 columns
  Int8PerTokenTorchao,      ///< by the reciprocal of the scale, in float32
  E4m3PerTokenTorchao       ///< quotients and products in float32
};

struct Inputs {
  Activations activations = Activations::None;
  double scale = 0;           ///< E4m3Static: of the codes; 0: the largest magnitude seen / 448
  double outlier = kOutlier;  ///< Int8PerTokenAndOutliers: the threshold
};

}  // namespace loraproof::quant
