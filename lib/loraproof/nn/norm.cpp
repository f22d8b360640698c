// SPDX-License-Identifier: Apache-2.0
#include "loraproof/nn/norm.h"

#include <ATen/ATen.h>

namespace loraproof::nn {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const at::Tensor x_f32 = x.to(at::kFloat);
  const at::Tensor variance = x_f32.pow(2).mean(-1, /*keepdim=*/true);
  return weight * (x_f32 * at::rsqrt(variance + eps)).to(x.scalar_type());
}

}  // namespace loraproof::nn
