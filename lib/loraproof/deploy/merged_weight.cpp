// SPDX-License-Identifier: Apache-2.0
#include "loraproof/deploy/merged_weight.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <algorithm>
#include <span>

#include "loraproof/merge/rounding.h"

namespace loraproof::deploy {
namespace {

constexpr std::int64_t kRows = 256;

io::DType dtype_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kBFloat16: return io::DType::BF16;
    case at::kHalf: return io::DType::F16;
    default: return io::DType::F32;
  }
}

// To the nearest value of the type of `to`, at once.
void round_into(const at::Tensor& values, const at::Tensor& to) {
  const auto count = static_cast<std::size_t>(values.numel());
  merge::round_to(dtype_of(to), {values.const_data_ptr<double>(), count},
                  {static_cast<std::byte*>(to.data_ptr()), count * to.element_size()});
}

// W + D of rows [begin, begin + count), in f64.
at::Tensor merged_rows(const at::Tensor& weight, const adapter::ModulePatch& patch,
                       std::int64_t begin, std::int64_t count) {
  at::Tensor sum = weight.narrow(0, begin, count).to(at::kDouble);
  if (patch.has_lora()) {
    const at::Tensor left = patch.lora_b.narrow(0, begin, count).to(at::kCPU, at::kDouble);
    sum = at::addmm(sum, left, patch.lora_a.to(at::kCPU, at::kDouble), 1, patch.scale);
  }
  if (patch.magnitude.defined()) {
    const at::Tensor norm = at::linalg_vector_norm(sum, 2, at::IntArrayRef{1});
    const at::Tensor magnitude = patch.magnitude.narrow(0, begin, count).to(at::kCPU, at::kDouble);
    sum = sum * (magnitude / norm).unsqueeze(1);
  }
  return sum;
}

}  // namespace

nn::LinearWeights merged_weight(const nn::LinearWeights& base, const adapter::ModulePatch& patch) {
  nn::LinearWeights merged = base;
  const at::Tensor weight =
      patch.weight.defined() ? patch.weight.to(at::kCPU, base.weight.scalar_type()) : base.weight;
  merged.weight = at::empty(weight.sizes(), at::TensorOptions(weight.scalar_type()));
  for (std::int64_t begin = 0; begin < weight.size(0); begin += kRows) {
    const std::int64_t count = std::min(kRows, weight.size(0) - begin);
    round_into(merged_rows(weight, patch, begin, count).contiguous(),
               merged.weight.narrow(0, begin, count));
  }
  if (patch.bias.defined()) merged.bias = patch.bias.to(at::kCPU, weight.scalar_type());
  if (patch.lora_bias.defined()) {
    const at::Tensor sum =
        merged.bias.to(at::kDouble) + patch.lora_bias.to(at::kCPU, at::kDouble) * patch.scale;
    merged.bias = at::empty(sum.sizes(), at::TensorOptions(weight.scalar_type()));
    round_into(sum.contiguous(), merged.bias);
  }
  return merged;
}

at::Tensor dense_change(const at::Tensor& weight, const adapter::ModulePatch& patch) {
  const at::Tensor from =
      patch.weight.defined() ? patch.weight.to(at::kCPU, weight.scalar_type()) : weight;
  at::Tensor change = at::empty(weight.sizes(), at::TensorOptions(at::kFloat));
  for (std::int64_t begin = 0; begin < weight.size(0); begin += kRows) {
    const std::int64_t count = std::min(kRows, weight.size(0) - begin);
    change.narrow(0, begin, count)
        .copy_(merged_rows(from, patch, begin, count) -
               weight.narrow(0, begin, count).to(at::kDouble));
  }
  return change;
}

}  // namespace loraproof::deploy
