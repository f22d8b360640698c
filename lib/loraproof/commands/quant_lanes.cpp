// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/quant_lanes.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/deploy/simulate.h"
#include "loraproof/tensor/from_view.h"

namespace loraproof::commands {
namespace {

using deploy::Order;

// The small matrices as a server holds them: its compute type, or quantised per output channel.
at::Tensor cast(const at::Tensor& factor, const std::string& dtype) {
  if (!factor.defined() || dtype.empty() || dtype == "fp32") return factor;
  if (dtype == "bf16") return factor.to(at::kBFloat16).to(at::kFloat);
  if (dtype == "fp16") return factor.to(at::kHalf).to(at::kFloat);
  return deploy::simulate(quant::find_scheme(dtype), factor).weight.to(at::kFloat);
}

adapter::PatchSet cast(adapter::PatchSet patches, const std::string& dtype) {
  for (auto& [module, patch] : patches) {
    patch.lora_a = cast(patch.lora_a, dtype);
    patch.lora_b = cast(patch.lora_b, dtype);
  }
  return patches;
}

bool is_kept(const std::vector<std::string>& names, const std::string& module) {
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
  const deploy::Deployment* trained = options.trained_on == nullptr
                                          ? nullptr
                                          : make(Order::QuantisedBase, options.trained_on, true);
  add(nullptr, Order::QuantisedBase, trained, kReferenceLane, 0);
  lanes_.back().lane = engine::make_lane("reference", patches_, job.compute, job.device);
  lanes_.back().lane.variant = trained;
  add(nullptr, std::nullopt, trained, kBaseLane, 0);
  for (const quant::Scheme* scheme : options.schemes) add_scheme(*scheme, options.orders);
  for (const CandidateInput& candidate : options.candidates) add_candidate(candidate);
  if (std::ranges::find(options.orders, Order::Merged) != options.orders.end())
    add(nullptr, Order::Merged, make(Order::Merged, nullptr, true), kReferenceLane, 0);
  if (options.trained_on != nullptr) {
    add(options.trained_on, Order::MergedOntoTrained,
        make(Order::MergedOntoTrained, options.trained_on, true), kReferenceLane, 0);
  }
}

const deploy::Deployment* QuantLanes::make(Order order, const quant::Scheme* scheme,
                                           bool with_adapter) {
  deploy::DeploymentOptions made{.order = order,
                                 .scheme = scheme,
                                 .patches = with_adapter ? &cast_ : nullptr,
                                 .stored = stored_type(job_.session.base.checkpoint)};
  if (scheme != nullptr && !options_.keep.empty()) {
    made.skips = [this, scheme](const std::string& module) {
      return quant::skips_by_default(*scheme, module) || is_kept(options_.keep, module);
    };
  }
  return &deployments_.emplace_back(std::move(made));
}

void QuantLanes::add_scheme(const quant::Scheme& scheme, const std::vector<Order>& orders) {
  // The base alone and A have the same weights.
  const deploy::Deployment* quantised = make(Order::QuantisedBase, &scheme, true);
  const std::size_t base_alone = lanes_.size();
  add(&scheme, std::nullopt, quantised, kBaseLane, 0);
  for (const Order order : orders) {
    if (order == Order::Merged) continue;
    add(&scheme, order, order == Order::QuantisedBase ? quantised : make(order, &scheme, true),
        kReferenceLane, base_alone);
  }
}

void QuantLanes::add(const quant::Scheme* scheme, std::optional<Order> order,
                     const deploy::RecordedVariant* deployment, std::size_t against,
                     std::size_t base_alone) {
  QuantLane lane{.scheme = scheme,
                 .candidate = {},
                 .order = order,
                 .lane = {},
                 .deployment = deployment,
                 .against = against,
                 .base_alone = base_alone};
  adapter::PatchSet beside;
  if (order) {
    const auto* made = dynamic_cast<const deploy::Deployment*>(deployment);
    beside = made == nullptr ? cast_ : made->patches_beside();
  }
  lane.lane = engine::make_lane(lane.name(), beside, job_.compute, job_.device);
  lane.lane.variant = deployment;
  lanes_.push_back(std::move(lane));
}

void QuantLanes::add_candidate(const CandidateInput& candidate) {
  const deploy::CandidateWeights* weights = &candidates_.emplace_back(*candidate.source);
  const std::size_t base_alone = candidate.merged ? 0 : lanes_.size();
  const auto name_it = [&] {
    lanes_.back().candidate = candidate.name;
    lanes_.back().lane.name = lanes_.back().name();
  };
  if (candidate.merged) {
    add(nullptr, Order::MergedThenQuantised, weights, kReferenceLane, 0);
    lanes_.back().lane.patches = {};
    return name_it();
  }
  add(nullptr, std::nullopt, weights, kBaseLane, 0);
  name_it();
  add(nullptr, Order::QuantisedBase, weights, kReferenceLane, base_alone);
  name_it();
}

std::vector<golden::ComparedLane> QuantLanes::compared() const {
  std::vector<golden::ComparedLane> compared;
  for (const QuantLane& lane : lanes_)
    compared.push_back({.lane = &lane.lane, .against = lane.against});
  return compared;
}

}  // namespace loraproof::commands
