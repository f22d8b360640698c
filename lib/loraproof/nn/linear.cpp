// SPDX-License-Identifier: Apache-2.0
#include "loraproof/nn/linear.h"

#include <ATen/ATen.h>

#include "loraproof/nn/row_product.h"

namespace loraproof::nn {
namespace {

// ‖W + sBA‖ per row [O] in f32, without building the sum at full rank in f32 for the whole matrix
// at once: rows are independent, so blocks bound the memory.
at::Tensor dora_row_norm(const at::Tensor& weight, const adapter::ModulePatch& patch) {
  constexpr std::int64_t kRows = 1024;
  const std::int64_t rows = weight.size(0);
  at::Tensor norm = at::empty({rows}, weight.options().dtype(at::kFloat));
  for (std::int64_t begin = 0; begin < rows; begin += kRows) {
    const std::int64_t count = std::min(kRows, rows - begin);
    const at::Tensor delta = at::matmul(patch.lora_b.narrow(0, begin, count), patch.lora_a);
    const at::Tensor sum = weight.narrow(0, begin, count).to(at::kFloat) + delta * patch.scale;
    norm.narrow(0, begin, count).copy_(at::linalg_vector_norm(sum, 2, at::IntArrayRef{1}));
  }
  return norm;
}

// ‖W + s(BA)ᵀ‖ per column [D] f32 of an embedding table [V, D] (PEFT DoraEmbeddingLayer), in row
// blocks.
at::Tensor dora_column_norm(const at::Tensor& table, const adapter::ModulePatch& patch) {
  constexpr std::int64_t kRows = 8192;
  const std::int64_t rows = table.size(0);
  at::Tensor squares = at::zeros({table.size(1)}, table.options().dtype(at::kDouble));
  for (std::int64_t begin = 0; begin < rows; begin += kRows) {
    const std::int64_t count = std::min(kRows, rows - begin);
    const at::Tensor delta = at::linear(patch.lora_a.narrow(1, begin, count).t(), patch.lora_b);
    const at::Tensor sum = table.narrow(0, begin, count).to(at::kFloat) + delta * patch.scale;
    squares += (sum * sum).sum(0, /*keepdim=*/false, at::kDouble);
  }
  return squares.sqrt().to(at::kFloat);
}

// s·(x Aᵀ Bᵀ + b_B), f32.
at::Tensor low_rank(const at::Tensor& x_f32, const adapter::ModulePatch& patch) {
  at::Tensor y = at::linear(at::linear(x_f32, patch.lora_a), patch.lora_b);
  if (patch.lora_bias.defined()) y = y + patch.lora_bias;
  return y * patch.scale;
}

template <typename T>
Matrix<const T> matrix_of(const at::Tensor& tensor) {
  return {tensor.const_data_ptr<T>(), tensor.size(0), tensor.size(1), tensor.stride(0)};
}

// Rows up to which a CPU with bfloat16 instructions does not use them: libtorch's product then
// moves 3 to 5 GB/s of weights, row_product several times as many (docs/benchmarks.md).
constexpr std::int64_t kFewRows = 16;

bool is_rows(const at::Tensor& t) { return t.stride(1) == 1; }

// The rule is one of shapes, types and the kind of CPU, so that the same input gives the same bits.
bool takes_row_product(const at::Tensor& x, const at::Tensor& weight) {
  return x.device().is_cpu() && x.dim() == 2 && x.scalar_type() == at::kBFloat16 &&
         weight.scalar_type() == at::kBFloat16 && is_rows(x) && is_rows(weight) &&
         (x.size(0) <= kFewRows || !multiplies_bfloat16());
}

// The low-rank path for row_product; `u` keeps x Aᵀ alive.
struct LowRankPath {
  at::Tensor u;  // [N, R] f32
  LowRank path;

  LowRankPath(const at::Tensor& x, const adapter::ModulePatch& patch)
      : u(at::empty({x.size(0), patch.lora_a.size(0)}, x.options().dtype(at::kFloat))) {
    row_product(matrix_of<c10::BFloat16>(x), matrix_of<float>(patch.lora_a),
                {u.data_ptr<float>(), u.size(0), u.size(1), u.stride(0)});
    path = {.u = matrix_of<float>(u),
            .b = matrix_of<float>(patch.lora_b),
            .bias = patch.lora_bias.defined() ? patch.lora_bias.const_data_ptr<float>() : nullptr,
            .scale = static_cast<float>(patch.scale)};
  }
};

Matrix<c10::BFloat16> writable(const at::Tensor& t) {
  return {t.data_ptr<c10::BFloat16>(), t.size(0), t.size(1), t.stride(0)};
}

// x Wᵀ + b, and the low-rank path where there is one, in one pass over the result.
at::Tensor rows_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                       const LowRank* low_rank) {
  at::Tensor result = at::empty({x.size(0), weight.size(0)}, x.options());
  row_product(matrix_of<c10::BFloat16>(x), matrix_of<c10::BFloat16>(weight),
              bias.defined() ? bias.const_data_ptr<c10::BFloat16>() : nullptr, low_rank,
              writable(result));
  return result;
}

at::Tensor base_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return takes_row_product(x, weight) ? rows_linear(x, weight, bias, nullptr)
                                      : at::linear(x, weight, bias);
}

}  // namespace

at::Tensor linear(const at::Tensor& x, const LinearWeights& weights,
                  const adapter::ModulePatch* patch) {
  const bool replaced = patch != nullptr && patch->weight.defined();
  const at::Tensor of_base = weights.inputs && !replaced ? weights.inputs(x) : x;
  if (patch == nullptr) return base_linear(of_base, weights.weight, weights.bias);
  const at::Tensor& weight = replaced ? patch->weight : weights.weight;
  const at::Tensor& bias = patch->bias.defined() ? patch->bias : weights.bias;
  const bool plain_lora = patch->has_lora() && !patch->magnitude.defined();
  if (plain_lora && x.device().is_cpu() && x.scalar_type() == at::kBFloat16 && is_rows(x)) {
    const LowRankPath lora(x, *patch);
    if (takes_row_product(of_base, weight)) return rows_linear(of_base, weight, bias, &lora.path);
    const at::Tensor result = at::linear(of_base, weight, bias);
    add_low_rank(lora.path, writable(result));
    return result;
  }
  at::Tensor result = base_linear(of_base, weight, bias);
  if (!patch->has_lora()) return result;

  const at::Tensor delta = low_rank(x.to(at::kFloat), *patch);
  at::Tensor sum = result.to(at::kFloat);
  if (patch->magnitude.defined()) {
    // W' = m/‖W + sBA‖ · (W + sBA): the bias stays outside of the scaling.
    const at::Tensor factor = patch->magnitude / dora_row_norm(weight, *patch);
    const at::Tensor base = bias.defined() ? sum - bias.to(at::kFloat) : sum;
    sum = sum + (factor - 1) * base + factor * delta;
  } else {
    sum = sum + delta;
  }
  return sum.to(result.scalar_type());
}

at::Tensor embedding(const at::Tensor& ids, const at::Tensor& weight,
                     const adapter::ModulePatch* patch) {
  if (patch == nullptr) return weight.index_select(0, ids);
  const at::Tensor& table = patch->weight.defined() ? patch->weight : weight;
  at::Tensor rows = table.index_select(0, ids);
  if (!patch->has_lora()) return rows;
  const at::Tensor after_a = patch->lora_a.index_select(1, ids).t();  // [N, R]
  const at::Tensor delta = at::linear(after_a, patch->lora_b) * patch->scale;
  at::Tensor sum = rows.to(at::kFloat) + delta;
  if (patch->magnitude.defined()) sum = sum * (patch->magnitude / dora_column_norm(table, *patch));
  return sum.to(rows.scalar_type());
}

}  // namespace loraproof::nn
