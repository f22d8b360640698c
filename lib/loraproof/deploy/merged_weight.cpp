// SPDX-License-Identifier: Apache-2.0
#include "loraproof/deploy/merged_weight.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <algorithm>
#include <span>
#include <vector>

#include "loraproof/merge/low_rank.h"
#include "loraproof/merge/rounding.h"
#include "loraproof/tensor/from_view.h"

namespace loraproof::deploy {
namespace {

constexpr std::int64_t kRows = 256;  // of a block that one thread merges

std::vector<double> values_of(const at::Tensor& tensor) {
  const at::Tensor wide = tensor.to(at::kCPU, at::kDouble).contiguous();
  const double* data = wide.const_data_ptr<double>();
  return {data, data + wide.numel()};
}

std::span<std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<std::byte*>(tensor.data_ptr()), static_cast<std::size_t>(tensor.nbytes())};
}

at::Tensor merged_matrix(const at::Tensor& weight, const adapter::ModulePatch& patch,
                         at::ScalarType out) {
  const std::int64_t rows = weight.size(0), columns = weight.size(1);
  const io::TensorView view{.dtype = tensor::dtype_of(weight.scalar_type()),
                            .shape = {rows, columns},
                            .bytes = bytes_of(weight)};
  merge::LowRank change{.rows = rows, .columns = columns};
  if (patch.has_lora()) change.add(values_of(patch.lora_b), values_of(patch.lora_a), patch.scale);
  std::vector<double> magnitude;
  if (patch.magnitude.defined()) magnitude = values_of(patch.magnitude);
  const merge::WeightMerge plan{.base = &view,
                                .out = tensor::dtype_of(out),
                                .change = &change,
                                .magnitude = magnitude,
                                .columns = columns};
  const at::Tensor merged = at::empty({rows, columns}, at::TensorOptions(out));
  const std::span<std::byte> bytes = bytes_of(merged);
  const std::size_t row = bytes.size() / static_cast<std::size_t>(std::max<std::int64_t>(rows, 1));
  at::parallel_for(0, (rows + kRows - 1) / kRows, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block) {
      const std::int64_t first = block * kRows, count = std::min(kRows, rows - first);
      (void)merge::merge_rows(plan, first, count,
                              bytes.subspan(static_cast<std::size_t>(first) * row,
                                            static_cast<std::size_t>(count) * row));
    }
  });
  return merged;
}

}  // namespace

nn::LinearWeights merged_weight(const nn::LinearWeights& base, const adapter::ModulePatch& patch,
                                at::ScalarType out) {
  const at::Tensor weight =
      patch.weight.defined() ? patch.weight.to(at::kCPU, base.weight.scalar_type()) : base.weight;
  nn::LinearWeights merged{merged_matrix(weight.contiguous(), patch, out), base.bias};
  if (patch.bias.defined()) merged.bias = patch.bias.to(at::kCPU);
  if (patch.lora_bias.defined()) {
    std::vector<double> sum = values_of(merged.bias);
    const std::vector<double> change = values_of(patch.lora_bias);
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += change[i] * patch.scale;
    merged.bias = at::empty(merged.bias.sizes(), at::TensorOptions(out));
    merge::round_to(tensor::dtype_of(out), sum, bytes_of(merged.bias));
  } else if (merged.bias.defined()) {
    merged.bias = merged.bias.to(out);
  }
  return merged;
}

at::Tensor intended_change(const at::Tensor& weight, const adapter::ModulePatch& patch) {
  const at::Tensor before = weight.to(at::kFloat);
  const at::Tensor replaced =
      patch.weight.defined() ? patch.weight.to(at::kCPU, at::kFloat) : before;
  at::Tensor change;  // of `replaced`
  if (patch.has_lora()) change = at::mm(patch.lora_b * patch.scale, patch.lora_a);
  if (patch.magnitude.defined()) {
    const at::Tensor sum = change.defined() ? replaced + change : replaced;
    const at::Tensor norm = at::linalg_vector_norm(sum, 2, {1});
    const at::Tensor scaled = sum * (patch.magnitude / norm).unsqueeze(1);
    return scaled - before;
  }
  if (!patch.weight.defined()) return change.defined() ? change : at::zeros_like(before);
  return change.defined() ? replaced + change - before : replaced - before;
}

}  // namespace loraproof::deploy
