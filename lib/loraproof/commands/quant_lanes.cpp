// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/quant_lanes.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <utility>

#include "loraproof/deploy/simulate.h"
#include "loraproof/tensor/from_view.h"

namespace loraproof::commands {
namespace {

using deploy::Order;

// The small matrices as a server holds them: its compute type, or quantised per output channel.
at::Tensor cast(const at::Tensor& factor, AdapterType type) {
  if (!factor.defined() || type == AdapterType::Fp32) return factor;
  if (type == AdapterType::Bf16) return factor.to(at::kBFloat16).to(at::kFloat);
  if (type == AdapterType::Fp16) return factor.to(at::kHalf).to(at::kFloat);
  const quant::Scheme& scheme = quant::find_scheme(choice_name(kAdapterTypeNames, type));
  return deploy::simulate(scheme, factor).weight.to(at::kFloat);
}

adapter::PatchSet cast(adapter::PatchSet patches, std::optional<AdapterType> type) {
  if (!type) return patches;
  for (auto& [module, patch] : patches) {
    patch.lora_a = cast(patch.lora_a, *type);
    patch.lora_b = cast(patch.lora_b, *type);
  }
  return patches;
}

bool is_named(const std::vector<std::string>& names, const std::string& module) {
  return std::ranges::any_of(names, [&](const std::string& name) {
    return module == name || module.ends_with("." + name);
  });
}

}  // namespace

std::string QuantLane::scheme_name() const {
  if (!candidate.empty()) return candidate;
  return scheme == nullptr ? "16 bit" : std::string(scheme->name);
}

std::string QuantLane::name() const {
  const std::string what = order ? std::string(deploy::name_of(*order)) : "base";
  return scheme == nullptr && candidate.empty() ? what : scheme_name() + " " + what;
}

at::ScalarType stored_type(const io::Checkpoint& base) {
  // Matrices decide: norms are often kept wider.
  for (const io::TensorView& view : base.views()) {
    if (view.shape.size() == 2) return tensor::scalar_type_of(view.dtype, view.name);
  }
  return at::kBFloat16;
}

QuantLanes::QuantLanes(const GoldenJob& job, const QuantLaneOptions& options)
    : job_(job),
      options_(options),
      patches_(job.session.adapters.front().landing.patches),
      cast_(cast(patches_, options.adapter_dtype)) {
  const deploy::Deployment* trained =
      options.trained_on == nullptr ? nullptr : make(Order::QuantisedBase, options.trained_on);
  inputs_.emplace(trained);
  add({.order = Order::QuantisedBase, .deployment = trained}, patches_);
  lanes_.back().lane.name = "reference";
  lanes_.back().lane.variant = &*inputs_;
  add({.deployment = trained, .against = kBaseLane}, {});
  for (const quant::Scheme* scheme : options.schemes) add_scheme(*scheme, options.orders);
  for (const CandidateInput& candidate : options.candidates) add_candidate(candidate);
  if (std::ranges::find(options.orders, Order::Merged) != options.orders.end())
    add_order(Order::Merged, nullptr, make(Order::Merged, nullptr), 0);
  if (options.trained_on != nullptr) {
    const Order order = Order::MergedOntoTrained;
    add_order(order, options.trained_on, make(order, options.trained_on), 0);
  }
}

deploy::Deployment* QuantLanes::make(deploy::DeploymentOptions options) {
  options.patches = &cast_;
  options.modules = &job_.session.base.modules;
  options.stored = stored_type(job_.session.base.checkpoint);
  options.inputs = inputs_ ? &*inputs_ : nullptr;
  return &deployments_.emplace_back(std::move(options));
}

deploy::Deployment* QuantLanes::make(Order order, const quant::Scheme* scheme) {
  return make({.order = order, .scheme = scheme});
}

deploy::Deployment* QuantLanes::make_as_asked(Order order, const quant::Scheme& scheme) {
  if (options_.keep.empty() && options_.quantise.empty()) return make(order, &scheme);
  return make(
      {.order = order, .scheme = &scheme, .skips = [this, &scheme](const std::string& name) {
         if (is_named(options_.keep, name)) return true;
         return quant::skips_by_default(scheme, name) && !is_named(options_.quantise, name);
       }});
}

void QuantLanes::add_scheme(const quant::Scheme& scheme, const std::vector<Order>& orders) {
  // The base alone and A have the same weights.
  const deploy::Deployment* quantised = make_as_asked(Order::QuantisedBase, scheme);
  quantised->expect_shapes();
  const std::size_t base_alone = lanes_.size();
  add({.scheme = &scheme, .deployment = quantised, .against = kBaseLane}, {});
  for (const Order order : orders) {
    if (order == Order::Merged) continue;
    if (order == Order::QuantisedBase) {
      add_order(order, &scheme, quantised, base_alone);
      continue;
    }
    deploy::Deployment* merged = make_as_asked(order, scheme);
    if (!patches_.contains(model::kHead)) merged->share_head(*quantised);
    add_order(order, &scheme, merged, base_alone);
  }
}

void QuantLanes::add_order(Order order, const quant::Scheme* scheme,
                           const deploy::Deployment* deployment, std::size_t base_alone) {
  add({.scheme = scheme,
       .order = order,
       .deployment = deployment,
       .simulated = deployment,
       .base_alone = base_alone},
      deployment->patches_beside());
}

void QuantLanes::add_candidate(const CandidateInput& candidate) {
  const deploy::CandidateWeights* weights = &candidates_.emplace_back(*candidate.source, &*inputs_);
  if (candidate.merged) {
    add({.candidate = candidate.name, .order = Order::MergedThenQuantised, .deployment = weights},
        {});
    return;
  }
  const std::size_t base_alone = lanes_.size();
  add({.candidate = candidate.name, .deployment = weights, .against = kBaseLane}, {});
  add({.candidate = candidate.name,
       .order = Order::QuantisedBase,
       .deployment = weights,
       .base_alone = base_alone},
      cast_);
}

void QuantLanes::add(QuantLane lane, const adapter::PatchSet& beside) {
  lane.lane = engine::make_lane(lane.name(), beside, job_.compute, job_.device);
  lane.lane.variant = lane.deployment;
  lanes_.push_back(std::move(lane));
}

std::vector<golden::ComparedLane> QuantLanes::compared() const {
  std::vector<golden::ComparedLane> compared;
  for (const QuantLane& lane : lanes_)
    compared.push_back({.lane = &lane.lane, .against = lane.against});
  return compared;
}

}  // namespace loraproof::commands
