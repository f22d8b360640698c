// SPDX-License-Identifier: Apache-2.0
#include "loraproof/candidate/weight_source.h"

#include <fmt/format.h>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/core/suggest.h"

namespace loraproof::candidate {

WeightSource::WeightSource(About about, std::vector<Weight> weights) : about_(std::move(about)) {
  for (Weight& weight : weights) {
    std::string name = weight.name;
    if (!weights_.emplace(name, std::move(weight)).second) {
      throw input_error({.message = "two stored weights stand for one",
                         .file = about_.path.string(),
                         .where = name,
                         .expected = "one weight of this name",
                         .found = "two",
                         .hint = "the checkpoint mixes quantised and plain weights of one module"});
    }
  }
  for (const auto& [name, weight] : weights_) names_.push_back(name);
}

const Weight& WeightSource::weight(std::string_view name) const {
  const auto found = weights_.find(name);
  if (found != weights_.end()) return found->second;
  const std::string near = nearest_name(name, names_);
  throw input_error({.message = "the candidate has no weight of this name",
                     .file = about_.path.string(),
                     .where = std::string(name),
                     .hint = near.empty() ? "" : fmt::format("the nearest is {}", near)});
}

std::span<const std::int64_t> WeightSource::shape(std::string_view name) const {
  return weight(name).shape;
}

const std::string& WeightSource::method(std::string_view name) const { return weight(name).method; }

const quant::Inputs& WeightSource::inputs(std::string_view name) const {
  return weight(name).inputs;
}

std::uint64_t WeightSource::stored_bytes(std::string_view name) const {
  std::uint64_t sum = 0;
  for (const StoredBytes& one : weight(name).stored) sum += one.bytes.size();
  return sum;
}

std::int64_t WeightSource::row_length(std::string_view name) const {
  const auto& shape = weight(name).shape;
  return shape.empty() ? 1 : shape.back();
}

std::int64_t WeightSource::row_count(std::string_view name) const {
  const auto& shape = weight(name).shape;
  std::int64_t count = 1;
  for (std::size_t i = 0; i + 1 < shape.size(); ++i) count *= shape[i];
  return count;
}

void WeightSource::rows(std::string_view name, std::int64_t first, std::int64_t count,
                        std::span<float> out) const {
  const Weight& one = weight(name);
  const std::int64_t total = row_count(name);
  if (first < 0 || count < 0 || first > total || count > total - first ||
      out.size() != static_cast<std::size_t>(count * row_length(name))) {
    throw internal_error({.message = "rows outside the weight, or a buffer of another size",
                          .where = std::string(name),
                          .expected = fmt::format("rows within {}", total),
                          .found = fmt::format("{} rows from {}", count, first)});
  }
  if (!out.empty()) one.decode(first, count, out.data());
}

void WeightSource::done_with(std::string_view name) const {
  for (const StoredBytes& one : weight(name).stored) one.file->done_with(one.bytes);
}

}  // namespace loraproof::candidate
