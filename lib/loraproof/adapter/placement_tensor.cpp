// SPDX-License-Identifier: Apache-2.0
#include "loraproof/adapter/placement_tensor.h"

#include <algorithm>
#include <fmt/format.h>

#include "loraproof/adapter/tensor_values.h"

namespace loraproof::adapter {
namespace {

bool is_a(Part part) { return part == Part::LoraA || part == Part::EmbeddingA; }
bool is_b(Part part) { return part == Part::LoraB || part == Part::EmbeddingB; }

// PEFT's factors of a convolution are convolutions: A with the kernel, B with one of size 1.
std::vector<std::int64_t> expected_conv_shape(Part part, const BaseModule& module,
                                              std::int64_t rank) {
  const std::vector<std::int64_t> ones(module.kernel.size(), 1);
  std::vector<std::int64_t> shape;
  switch (part) {
    case Part::LoraA: shape = {rank, module.in}; break;
    case Part::LoraB: shape = {module.out, rank}; break;
    case Part::Magnitude: shape = {1, module.out}; break;
    case Part::Weight:
    case Part::BaseWeight: shape = {module.out, module.in}; break;
    default: return {module.out};
  }
  const bool with_kernel = part != Part::LoraB && part != Part::Magnitude;
  const std::vector<std::int64_t>& rest = with_kernel ? module.kernel : ones;
  shape.insert(shape.end(), rest.begin(), rest.end());
  return shape;
}

std::optional<TensorProblem> dtype_problem(const io::TensorView& view) {
  using io::DType;
  const DType dtype = view.dtype;
  if (dtype != DType::F32 && dtype != DType::BF16 && dtype != DType::F16 && dtype != DType::F64) {
    return TensorProblem{
        "landing.shape", "dtype",
        fmt::format("expected a tensor of F32, BF16, F16 or F64, found {}", io::name_of(dtype)),
        "quantised adapters are not supported: save the adapter in 16 or 32 bit"};
  }
  return std::nullopt;
}

}  // namespace

std::vector<std::int64_t> expected_shape(Part part, const BaseModule& module, std::int64_t rank) {
  const bool embedding = module.kind == BaseModule::Kind::Embedding;
  if (module.kind == BaseModule::Kind::Experts) {
    if (is_a(part)) return {module.experts * rank, module.in};
    if (is_b(part)) return {module.out, rank * module.experts};
    return {};
  }
  if (module.kind == BaseModule::Kind::Conv) return expected_conv_shape(part, module, rank);
  switch (part) {
    case Part::LoraA: return {rank, module.in};
    case Part::LoraB: return {module.out, rank};
    case Part::EmbeddingA: return {rank, module.out};
    case Part::EmbeddingB: return {module.in, rank};
    case Part::Magnitude: return {embedding ? module.in : module.out};
    case Part::Weight:
    case Part::BaseWeight:
      if (module.kind == BaseModule::Kind::Norm) return {module.out};
      return {module.out, module.in};
    case Part::LoraBBias:
    case Part::Bias:
    case Part::BaseBias: return {module.out};
    case Part::TokenRows: return {rank, module.in};  // `rank`: how many tokens
    case Part::Unknown: break;
  }
  return {};
}

std::optional<TensorProblem> shape_problem(const io::TensorView& view, Part part,
                                           const BaseModule& module, std::int64_t rank,
                                           const std::string& rank_source) {
  if (auto problem = dtype_problem(view)) return problem;
  const auto expected = expected_shape(part, module, rank);
  const auto& found = view.shape;
  if (found == expected) return std::nullopt;
  const std::string shapes =
      fmt::format("expected {}, found {}", io::shape_text(expected), io::shape_text(found));
  if (expected.size() == 2 && found.size() == 2) {
    const bool rank_differs =
        (is_a(part) && found[1] == expected[1]) || (is_b(part) && found[0] == expected[0]);
    if (rank_differs) {
      const std::int64_t found_rank = is_a(part) ? found[0] : found[1];
      return TensorProblem{
          "landing.rank", fmt::format("{}:{}", rank, found_rank),
          fmt::format("the configuration says rank {} ({}), the tensor has rank {}", rank,
                      rank_source, found_rank),
          "r and rank_pattern must be those of the training; the scale alpha/r follows from them"};
    }
    const bool transposed = (is_a(part) && found[0] == expected[1]) ||
                            (is_b(part) && found[1] == expected[0]) ||
                            (found[0] == expected[1] && found[1] == expected[0]);
    if (transposed) {
      return TensorProblem{"landing.shape", "transposed", shapes + ": the tensor is transposed",
                           "PEFT stores lora_A as [r, in] and lora_B as [out, r], also with "
                           "fan_in_fan_out; transpose it"};
    }
    const bool vocabulary = (module.kind == BaseModule::Kind::Embedding || module.is_output_head);
    const bool rows_differ = (part == Part::EmbeddingA && found[0] == expected[0]) ||
                             (part != Part::EmbeddingA && found[1] == expected[1]);
    if (vocabulary && rows_differ) {
      return TensorProblem{"landing.shape", "vocabulary",
                           shapes + ": another number of tokens than the base has",
                           "the vocabulary was resized in training, which is not supported yet, or "
                           "the base is another one"};
    }
  }
  return TensorProblem{"landing.shape", "other", shapes,
                       "the adapter was trained on a model of another size: check --base"};
}

std::optional<TensorProblem> method_problem(const io::TensorView& view,
                                            const std::vector<std::int64_t>& expected) {
  if (auto problem = dtype_problem(view)) return problem;
  if (view.shape != expected) {
    return TensorProblem{
        "landing.shape", "method",
        fmt::format("expected {}, found {}", io::shape_text(expected), io::shape_text(view.shape)),
        "the adapter was trained on a model of another size (check --base), or with "
        "another rank or block size"};
  }
  return finite_problem(view);
}

std::optional<TensorProblem> finite_problem(const io::TensorView& view) {
  const NonFinite found = count_non_finite(view);
  if (found.nans + found.infinities == 0) return std::nullopt;
  return TensorProblem{"landing.non_finite", "values",
                       fmt::format("{} NaN and {} infinite values of {}", found.nans,
                                   found.infinities, view.numel()),
                       "the training diverged or the file is damaged; every output would be NaN"};
}

bool same_values(const io::TensorView& a, const io::TensorView& b) {
  return a.dtype == b.dtype && std::ranges::equal(a.bytes, b.bytes);
}

}  // namespace loraproof::adapter
