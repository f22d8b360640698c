// SPDX-License-Identifier: Apache-2.0
#include "loraproof/deploy/quantised_inputs.h"

#include <ATen/ATen.h>
#include <limits>

#include "loraproof/deploy/simulate.h"
#include "loraproof/io/small_floats.h"
#include "loraproof/quant/scheme.h"

namespace loraproof::deploy {
namespace {

// A scheme that scales rows does to a token's inputs what it does to the weights of an output.
at::Tensor by_rows(const char* scheme, const at::Tensor& x) {
  return simulate(quant::find_scheme(scheme), x).weight.to(x.scalar_type());
}

at::Tensor without_outliers(const at::Tensor& x, double outlier) {
  const at::Tensor half = x.to(at::kHalf);
  const at::Tensor outliers = half.abs().ge(outlier);
  const at::Tensor rest = by_rows("llm-int8", half.masked_fill(outliers, 0).to(at::kFloat));
  return at::where(outliers, half.to(at::kFloat), rest).to(x.scalar_type());
}

at::Tensor by_one_scale(const at::Tensor& x, double of_codes) {
  const at::Tensor scale = at::scalar_tensor(of_codes, x.options());
  const at::Tensor codes =
      (x / scale).clamp(-io::kE4m3Largest, io::kE4m3Largest).to(at::kFloat8_e4m3fn);
  return codes.to(x.scalar_type()) * scale;
}

at::Tensor by_groups(const at::Tensor& x) {
  constexpr std::int64_t kGroup = 128;
  const std::int64_t columns = x.size(1), whole = (columns + kGroup - 1) / kGroup * kGroup;
  const at::Tensor groups =
      at::constant_pad_nd(x.to(at::kFloat), {0, whole - columns}).reshape({-1, kGroup});
  return by_rows("fp8", groups)
      .reshape({x.size(0), whole})
      .narrow(1, 0, columns)
      .to(x.scalar_type());
}

// The scale is computed in the type of x.
at::Tensor torchao_int8(const at::Tensor& x) {
  constexpr double kLeastScale = std::numeric_limits<float>::epsilon();
  const at::Tensor scale = (x.abs().amax({1}, true) / 127.5).clamp_min(kLeastScale).to(at::kFloat);
  const at::Tensor codes = (x.to(at::kFloat) * scale.reciprocal()).round().clamp(-128, 127);
  return (codes * scale).to(x.scalar_type());
}

at::Tensor torchao_e4m3(const at::Tensor& x) {
  const at::Tensor scale = (x.abs().amax({1}, true) / io::kE4m3Largest).to(at::kFloat);
  const at::Tensor codes =
      (x.to(at::kFloat) / scale).clamp(-io::kE4m3Largest, io::kE4m3Largest).to(at::kFloat8_e4m3fn);
  return at::where(scale == 0, 0.0f, codes.to(at::kFloat) * scale).to(x.scalar_type());
}

}  // namespace

at::Tensor quantised_inputs(const quant::Inputs& inputs, const at::Tensor& x) {
  const at::Tensor local = x.cpu();
  const at::Tensor made = [&] {
    switch (inputs.activations) {
      case quant::Activations::Int8PerToken: return by_rows("int8-w8a8", local);
      case quant::Activations::Int8PerTokenAndOutliers:
        return without_outliers(local, inputs.outlier);
      case quant::Activations::E4m3PerToken: return by_rows("fp8-w8a8", local);
      case quant::Activations::E4m3Static: return by_one_scale(local, inputs.scale);
      case quant::Activations::E4m3PerGroup: return by_groups(local);
      case quant::Activations::Int8PerTokenTorchao: return torchao_int8(local);
      case quant::Activations::E4m3PerTokenTorchao: return torchao_e4m3(local);
      case quant::Activations::None: break;
    }
    return local;
  }();
  return made.to(x.device());
}

}  // namespace loraproof::deploy
