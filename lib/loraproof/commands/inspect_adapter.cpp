// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/inspect_adapter.h"

#include <utility>

#include "loraproof/adapter/keys.h"
#include "loraproof/adapter/zero_effect.h"
#include "loraproof/core/json.h"
#include "loraproof/report/gate.h"

namespace loraproof::commands {
namespace {

// Without a base, the modules that the adapter's own tensors imply: pairs, ranks and values can be
// judged, targets and shapes of the base can't.
adapter::BaseModules implied_modules(const io::SafetensorsFile& weights) {
  using Kind = adapter::BaseModule::Kind;
  adapter::BaseModules modules;
  for (const io::TensorView& view : weights.tensors()) {
    const adapter::AdapterKey key = adapter::parse_key(view.name);
    if (!key.is_loaded() || key.part == adapter::Part::Unknown || view.shape.empty()) continue;
    adapter::BaseModule& module = modules[key.module];
    switch (key.part) {
      case adapter::Part::LoraA: module.in = view.shape.back(); break;
      case adapter::Part::LoraB: module.out = view.shape.front(); break;
      case adapter::Part::EmbeddingA:
        module.kind = Kind::Embedding, module.out = view.shape.back();
        break;
      case adapter::Part::EmbeddingB:
        module.kind = Kind::Embedding, module.in = view.shape.front();
        break;
      case adapter::Part::Weight:
      case adapter::Part::BaseWeight:
        module.out = view.shape.front();
        module.in = view.shape.size() > 1 ? view.shape[1] : 0;
        if (view.shape.size() == 1) module.kind = Kind::Norm;
        break;
      case adapter::Part::LoraBBias:
      case adapter::Part::BaseBias:
      case adapter::Part::Bias: module.has_bias = true; break;
      case adapter::Part::TokenRows:
        module.kind = Kind::Embedding, module.in = view.shape.back();
        break;
      case adapter::Part::Magnitude:
      case adapter::Part::Unknown: break;
    }
  }
  return modules;
}

Json lora_json(const AdapterInput& input, const adapter::Placement& placement,
               const adapter::DeltaNorms& norms) {
  Json modules = Json::array();
  for (const auto& [module, placed] : placement.modules) {
    Json row{{"module", module}};
    if (placed.has_lora()) {
      row["r"] = placed.lora_a->shape.front();
      row["scale"] = placed.scale;
      row["delta_norm"] = norms.at(module);
    }
    if (placed.weight != nullptr) row["replaces_weight"] = true;
    if (placed.bias != nullptr) row["replaces_bias"] = true;
    modules.push_back(std::move(row));
  }
  return {{"name", input.name},
          {"r", input.config.r},
          {"lora_alpha", input.config.lora_alpha},
          {"use_rslora", input.config.use_rslora},
          {"use_dora", input.config.use_dora},
          {"base_model_name_or_path", input.config.base_model_name_or_path},
          {"peft_version", input.config.peft_version},
          {"modules", modules}};
}

}  // namespace

AdapterInspection begin_inspection(const AdapterInput& input, const adapter::BaseModules* base) {
  AdapterInspection inspection;
  inspection.placement = adapter::place(input.config, input.weights,
                                        base != nullptr ? *base : implied_modules(input.weights));
  inspection.measures = landing_measures(inspection.placement, base != nullptr);
  const adapter::DeltaNorms norms = adapter::delta_norms(inspection.placement.modules);
  append(inspection.measures,
         zero_effect_measures(adapter::find_zero_effect(inspection.placement.modules, norms)));
  inspection.identity = adapter::identify(input.config, input.weights);
  report::Report& report = inspection.report;
  report.tool.version = kVersion;
  report.command = "inspect";
  report.inputs = {
      {"adapter", input.folder.string(), io::combined_digest(inspection.identity.tensors)}};
  report.metrics["adapter"] = lora_json(input, inspection.placement, norms);
  return inspection;
}

report::Report inspect_adapter(const InspectOptions& options) {
  if (options.golden) {
    throw usage_error({.message = "--golden compares identities and needs the base",
                       .where = "--golden",
                       .hint = "pass --base DIR"});
  }
  const report::Policy policy = load_policy(options.policy, Json::object(), "");
  const AdapterInput input = open_adapter(options.adapter);
  AdapterInspection inspection = begin_inspection(input, nullptr);
  inspection.report.checks = report::gate(inspection.measures, policy);
  return std::move(inspection.report);
}

}  // namespace loraproof::commands
