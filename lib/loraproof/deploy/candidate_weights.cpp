// SPDX-License-Identifier: Apache-2.0
#include "loraproof/deploy/candidate_weights.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "loraproof/core/error.h"
#include "loraproof/io/element_values.h"

namespace loraproof::deploy {
namespace {

constexpr std::int64_t kRows = 64;  // decoded at once by a thread

at::Tensor decoded(const candidate::WeightSource& source, const std::string& name) {
  const std::int64_t rows = source.row_count(name), length = source.row_length(name);
  const at::Tensor weight = at::empty({rows, length}, at::TensorOptions(at::kFloat));
  auto* data = weight.data_ptr<float>();
  at::parallel_for(0, (rows + kRows - 1) / kRows, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block) {
      const std::int64_t first = block * kRows, count = std::min(kRows, rows - first);
      source.rows(name, first, count,
                  {data + first * length, static_cast<std::size_t>(count * length)});
    }
  });
  source.done_with(name);
  return weight;
}

}  // namespace

namespace {

// Norms are never quantised; those of another type or converted from one differ by its rounding.
void expect_same_norm(const candidate::WeightSource& source, const io::TensorView& norm) {
  constexpr double kRounding = 0x1p-7;
  const std::vector<double> expected = io::widened(norm);
  std::vector<float> found(expected.size());
  source.rows(norm.name, 0, 1, found);
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double difference = std::fabs(static_cast<double>(found[i]) - expected[i]);
    if (difference <= kRounding * std::max(std::fabs(expected[i]), 1e-3)) continue;
    throw input_error({.id = "candidate.norm",
                       .message = "a norm of the candidate is not the base's",
                       .file = source.about().path.string(),
                       .where = norm.name + "[" + std::to_string(i) + "]",
                       .expected = std::to_string(expected[i]),
                       .found = std::to_string(found[i]),
                       .hint =
                           "the candidate was made of another base, or has trained norms, which "
                           "are not judged"});
  }
}

}  // namespace

void expect_same_model(const candidate::WeightSource& source, const io::Checkpoint& base) {
  for (const io::TensorView& view : base.views()) {
    const bool matrix = view.shape.size() == 2;
    if (!view.name.ends_with(".weight") || (!matrix && view.shape.size() != 1)) continue;
    const bool head = view.name == std::string(model::kHead) + ".weight";
    if (!source.has(view.name) && head) continue;  // tied there
    const auto found = source.shape(view.name);    // an input Error where it is missing
    if (!std::ranges::equal(found, view.shape)) {
      throw input_error({.id = "candidate.shape",
                         .message = "the candidate is not this base: a weight has another shape",
                         .file = source.about().path.string(),
                         .where = view.name,
                         .expected = io::shape_text(view.shape),
                         .found = io::shape_text(found),
                         .hint = "quantise the base that the adapter was trained on"});
    }
    if (!matrix) expect_same_norm(source, view);
  }
}

std::string CandidateWeights::stored(const std::string& module) const {
  const std::string name = module + ".weight";
  if (source_.has(name)) return name;
  const std::string embedding = std::string(model::kEmbedding) + ".weight";
  return module == model::kHead && source_.has(embedding) ? embedding : "";
}

bool CandidateWeights::changes(const std::string& module) const { return !stored(module).empty(); }

nn::LinearWeights CandidateWeights::make(const std::string& module,
                                         const nn::LinearWeights& base) const {
  const std::string name = stored(module);
  const at::Tensor weight = decoded(source_, name);
  if (!is_recorded(module)) {
    const at::Tensor before = base.weight.to(at::kCPU, at::kFloat);
    WeightDamage damage{.bytes = source_.stored_bytes(name)};
    add_sums(damage, before, {}, weight - before,
             inputs_ == nullptr ? nullptr : inputs_->find(module));
    damage.error2 = damage.change.actual2;
    record(module, damage);
  }
  return {weight.to(base.weight.options()), bias_of(module, base),
          rounding_of(source_.inputs(name), module, inputs_)};
}

at::Tensor CandidateWeights::bias_of(const std::string& module,
                                     const nn::LinearWeights& base) const {
  const std::string name = module + ".bias";
  if (!source_.has(name)) return base.bias;
  return decoded(source_, name).reshape(-1).to(base.weight.options());
}

at::Tensor CandidateWeights::embedding(const at::Tensor& ids, const at::Tensor& rows) const {
  const std::string name = std::string(model::kEmbedding) + ".weight";
  if (!source_.has(name)) return rows;
  const at::Tensor found = at::empty({ids.size(0), rows.size(1)}, at::TensorOptions(at::kFloat));
  const auto length = static_cast<std::size_t>(rows.size(1));
  for (std::int64_t i = 0; i < ids.size(0); ++i) {
    source_.rows(name, ids.const_data_ptr<std::int64_t>()[i], 1,
                 {found.data_ptr<float>() + i * rows.size(1), length});
  }
  return found.to(rows.options());
}

}  // namespace loraproof::deploy
