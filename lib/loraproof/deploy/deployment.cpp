// SPDX-License-Identifier: Apache-2.0
#include "loraproof/deploy/deployment.h"

#include <ATen/ATen.h>

#include "loraproof/core/error.h"
#include "loraproof/deploy/merged_weight.h"
#include "loraproof/deploy/quantised_inputs.h"
#include "loraproof/deploy/simulate.h"
#include "loraproof/tensor/from_view.h"

namespace loraproof::deploy {
std::string_view name_of(Order order) { return kOrderNames[static_cast<std::size_t>(order)].name; }

bool Deployment::quantises(const std::string& module) const {
  if (options_.scheme == nullptr) return false;
  const auto base = options_.modules->find(module);
  if (options_.scheme->passes_over != nullptr && base != options_.modules->end() &&
      options_.scheme->passes_over(
          {base->second.out, base->second.in, tensor::dtype_of(options_.stored)}))
    return false;
  return options_.skips ? !options_.skips(module)
                        : !quant::skips_by_default(*options_.scheme, module);
}

bool Deployment::is_linear(const std::string& module) const {
  const auto found = options_.modules->find(module);
  return found != options_.modules->end() &&
         found->second.kind == adapter::BaseModule::Kind::Linear;
}

const adapter::ModulePatch* Deployment::patch_of(const std::string& module) const {
  if (options_.patches == nullptr || !is_linear(module)) return nullptr;
  const auto found = options_.patches->find(module);
  return found == options_.patches->end() ? nullptr : &found->second;
}

bool Deployment::changes(const std::string& module) const {
  const bool merges = options_.order != Order::QuantisedBase && patch_of(module) != nullptr;
  return quantises(module) || merges;
}

adapter::PatchSet Deployment::patches_beside() const {
  if (options_.patches == nullptr) return {};
  if (options_.order == Order::QuantisedBase) return *options_.patches;
  adapter::PatchSet beside;
  for (const auto& [module, patch] : *options_.patches)
    if (!is_linear(module)) beside.emplace(module, patch);
  return beside;
}

nn::LinearWeights Deployment::make(const std::string& module, const nn::LinearWeights& base) const {
  const adapter::ModulePatch* patch = patch_of(module);
  const auto in_file = [&](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.to(at::kCPU, options_.stored).contiguous() : tensor;
  };
  const nn::LinearWeights stored{in_file(base.weight), in_file(base.bias)};
  nn::LinearWeights now = stored;
  WeightDamage damage;
  const auto merge = [&] {
    now.weight = in_file(now.weight);
    if (patch != nullptr) now = merged_weight(now, *patch, options_.stored);
  };
  const auto quantise = [&] {
    if (quantises(module)) now.weight = quantised(now.weight, damage);
  };
  switch (options_.order) {
    case Order::QuantisedBase: quantise(); break;
    case Order::MergedThenQuantised: merge(), quantise(); break;
    case Order::Merged: merge(); break;
    case Order::MergedIntoQuantised:
      quantise();
      if (patch == nullptr) break;  // nobody touches it again
      merge();
      damage = {};  // the stored one is the last
      quantise();
      break;
    case Order::MergedOntoTrained: quantise(), merge(); break;
  }
  measure(module, stored, now.weight, damage);
  return {now.weight.to(base.weight.options()),
          now.bias.defined() ? now.bias.to(base.weight.options()) : now.bias,
          rounding_of(inputs_of(module), module, options_.inputs)};
}

quant::Inputs Deployment::inputs_of(const std::string& module) const {
  const bool in_16_bit = options_.order == Order::MergedOntoTrained || !quantises(module);
  return {.activations = in_16_bit ? quant::Activations::None : options_.scheme->activations};
}

void Deployment::expect_shapes() const {
  std::int64_t quantised = 0;
  for (const auto& [module, base] : *options_.modules) {
    if (base.kind == adapter::BaseModule::Kind::Norm || !quantises(module)) continue;
    try {
      (void)options_.scheme->make({base.out, base.in, tensor::dtype_of(options_.stored)});
      ++quantised;
    } catch (const Error& error) {
      ErrorDetail detail = error.detail();
      detail.where = module + ", " + std::string(options_.scheme->name);
      throw Error(error.kind(), std::move(detail));
    }
  }
  if (quantised > 0 || options_.skips) return;
  throw input_error({.id = "quantcheck.nothing_quantised",
                     .message = "the scheme leaves every weight of this base as it is",
                     .where = std::string(options_.scheme->name),
                     .expected = "a matrix that it takes",
                     .found = std::to_string(options_.modules->size()) + " modules",
                     .hint = "take another scheme: this one tells nothing about this base"});
}

at::Tensor Deployment::quantised(const at::Tensor& weight, WeightDamage& damage) const {
  const Simulated made = simulate(*options_.scheme, weight);
  damage.bytes = made.bytes;
  damage.tally = made.tally;
  const at::Tensor before = weight.to(at::kFloat), after = made.weight.to(at::kFloat);
  damage.error2 = (after - before).square().sum().item<double>();
  return made.weight;
}

void Deployment::measure(const std::string& module, const nn::LinearWeights& stored,
                         const at::Tensor& deployed, WeightDamage damage) const {
  if (is_recorded(module)) return;
  const at::Tensor w = stored.weight.to(at::kFloat);
  at::Tensor intended, actual = deployed.to(at::kFloat) - w;
  if (damage.bytes == 0) damage.bytes = stored.weight.nbytes();
  if (const adapter::ModulePatch* patch = patch_of(module); patch != nullptr) {
    intended = intended_change(w, *patch);
    if (options_.order == Order::QuantisedBase) actual += intended;
  }
  add_sums(damage, w, intended, actual,
           options_.inputs == nullptr ? nullptr : options_.inputs->find(module));
  record(module, damage);
}

at::Tensor Deployment::embedding(const at::Tensor&, const at::Tensor& rows) const {
  if (!quantises(model::kEmbedding)) return rows;
  // A row depends on itself alone in every scheme that quantises embeddings.
  const at::Tensor weight = rows.to(at::kCPU, options_.stored);
  return simulate(*options_.scheme, weight).weight.to(rows.options());
}

}  // namespace loraproof::deploy
