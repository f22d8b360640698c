// SPDX-License-Identifier: Apache-2.0
#include "loraproof/deploy/candidate_weights.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <algorithm>

#include "loraproof/core/error.h"

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

void expect_same_model(const candidate::WeightSource& source, const io::Checkpoint& base) {
  for (const io::TensorView& view : base.views()) {
    if (view.shape.size() != 2 || !view.name.ends_with(".weight")) continue;
    const bool head = view.name == std::string(model::kHead) + ".weight";
    if (!source.has(view.name) && head) continue;  // tied there
    const auto found = source.shape(view.name);    // an input Error where it is missing
    if (std::ranges::equal(found, view.shape)) continue;
    throw input_error({.id = "candidate.shape",
                       .message = "the candidate is not this base: a weight has another shape",
                       .file = source.about().path.string(),
                       .where = view.name,
                       .expected = io::shape_text(view.shape),
                       .found = io::shape_text(found),
                       .hint = "quantise the base that the adapter was trained on"});
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
    const at::Tensor error = (weight - before).reshape(-1);
    const at::Tensor flat = before.reshape(-1);
    record(module, {.elements = weight.numel(),
                    .actual2 = at::dot(error, error).item<double>(),
                    .base2 = at::dot(flat, flat).item<double>(),
                    .error2 = at::dot(error, error).item<double>(),
                    .bytes = source_.stored_bytes(name)});
  }
  return {weight.to(base.weight.options()), base.bias};
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
