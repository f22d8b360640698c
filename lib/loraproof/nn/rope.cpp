// SPDX-License-Identifier: Apache-2.0
#include "loraproof/nn/rope.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <cmath>
#include <numbers>

namespace loraproof::nn {
namespace {

// base^(2i/d) for i < d/2, in f32 as transformers does (python float ** f32 tensor).
at::Tensor position_frequencies(double base, std::int64_t dim) {
  const at::Tensor exponent = at::arange(0, dim, 2, at::kLong).to(at::kFloat) / dim;
  return at::pow(at::Scalar(base), exponent);
}

at::Tensor llama3_frequencies(const RopeConfig& config) {
  const at::Tensor inverse = 1.0 / position_frequencies(config.theta, config.head_dim);
  const auto old_length = static_cast<double>(config.original_max_positions);
  const double low_wavelength = old_length / config.low_freq_factor;
  const double high_wavelength = old_length / config.high_freq_factor;
  const at::Tensor wavelength = 2 * std::numbers::pi / inverse;
  const at::Tensor scaled =
      at::where(wavelength > low_wavelength, inverse / config.factor, inverse);
  const at::Tensor smooth = (old_length / wavelength - config.low_freq_factor) /
                            (config.high_freq_factor - config.low_freq_factor);
  const at::Tensor smoothed = (1 - smooth) * scaled / config.factor + smooth * scaled;
  const at::Tensor medium =
      at::logical_and(wavelength >= high_wavelength, wavelength <= low_wavelength);
  return at::where(medium, smoothed, scaled);
}

double yarn_mscale(double scale, double mscale) {
  return scale <= 1 ? 1.0 : 0.1 * mscale * std::log(scale) + 1.0;
}

double yarn_attention_factor(const RopeConfig& config) {
  if (config.attention_factor) return *config.attention_factor;
  if (config.mscale.value_or(0) != 0 && config.mscale_all_dim.value_or(0) != 0) {
    return yarn_mscale(config.factor, *config.mscale) /
           yarn_mscale(config.factor, *config.mscale_all_dim);
  }
  return yarn_mscale(config.factor, 1.0);
}

at::Tensor yarn_frequencies(const RopeConfig& config) {
  const auto dim = static_cast<double>(config.head_dim);
  const auto correction_dim = [&](double rotations) {
    const auto length = static_cast<double>(config.original_max_positions);
    return dim * std::log(length / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(config.theta));
  };
  double low = correction_dim(config.beta_fast);
  double high = correction_dim(config.beta_slow);
  if (config.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high) high += 0.001;  // as transformers: prevents a division by zero

  const at::Tensor frequencies = position_frequencies(config.theta, config.head_dim);
  const at::Tensor extrapolation = 1.0 / frequencies;
  const at::Tensor interpolation = 1.0 / (config.factor * frequencies);
  const at::Tensor ramp =
      at::clamp((at::arange(config.head_dim / 2, at::kFloat) - low) / (high - low), 0, 1);
  const at::Tensor keep = 1 - ramp;
  return interpolation * (1 - keep) + extrapolation * keep;
}

}  // namespace

RopeFrequencies rope_frequencies(const RopeConfig& config, std::int64_t length) {
  switch (config.kind) {
    case RopeConfig::Kind::Default: break;
    case RopeConfig::Kind::Linear:
      return {1.0 / position_frequencies(config.theta, config.head_dim) / config.factor, 1.0};
    case RopeConfig::Kind::Dynamic: {
      if (length <= config.max_positions) break;
      const auto dim = static_cast<double>(config.head_dim);
      const double stretch =
          config.factor * static_cast<double>(length) / static_cast<double>(config.max_positions) -
          (config.factor - 1);
      const double base = config.theta * std::pow(stretch, dim / (dim - 2));
      return {1.0 / position_frequencies(base, config.head_dim), 1.0};
    }
    case RopeConfig::Kind::Yarn: return {yarn_frequencies(config), yarn_attention_factor(config)};
    case RopeConfig::Kind::Llama3: return {llama3_frequencies(config), 1.0};
  }
  return {1.0 / position_frequencies(config.theta, config.head_dim), 1.0};
}

RopeTable rope_table(const RopeConfig& config, const std::vector<std::int64_t>& starts,
                     const std::vector<std::int64_t>& lengths, const at::TensorOptions& like) {
  std::vector<at::Tensor> angles;  // per sequence [T, Dh/2]
  angles.reserve(starts.size());
  RopeFrequencies shared = rope_frequencies(config, 0);
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const std::int64_t end = starts[i] + lengths[i];
    const bool long_dynamic =
        config.kind == RopeConfig::Kind::Dynamic && end > config.max_positions;
    const at::Tensor inverse =
        long_dynamic ? rope_frequencies(config, end).inverse : shared.inverse;
    const at::Tensor positions = at::arange(starts[i], end, at::kLong).to(at::kFloat);
    angles.push_back(positions.unsqueeze(1) * inverse.unsqueeze(0));
  }
  const at::Tensor half = at::cat(angles);
  const at::Tensor full = at::cat({half, half}, -1);
  return {(full.cos() * shared.attention_factor).to(like),
          (full.sin() * shared.attention_factor).to(like)};
}

at::Tensor apply_rope(const at::Tensor& x, const RopeTable& table) {
  const std::int64_t half = x.size(-1) / 2;
  const at::Tensor rotated = at::cat({-x.narrow(-1, half, half), x.narrow(-1, 0, half)}, -1);
  return x * table.cos.unsqueeze(1) + rotated * table.sin.unsqueeze(1);
}

}  // namespace loraproof::nn
