// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/inspect.h"

#include <algorithm>
#include <fmt/format.h>

#include "loraproof/adapter/effect.h"
#include "loraproof/adapter/keys.h"
#include "loraproof/commands/session.h"
#include "loraproof/io/digest.h"
#include "loraproof/report/gate.h"
#include "loraproof/tensor/from_view.h"

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
      case adapter::Part::Magnitude:
      case adapter::Part::Unknown: break;
    }
  }
  return modules;
}

// Per-tensor digests of one file: from the cache, or taken now and remembered.
io::DigestByName digests_of(const io::SafetensorsFile& file, io::DigestCache& cache,
                            Progress& progress) {
  const auto& path = file.file().path();
  if (auto cached = cache.find(path)) {
    progress.advance(static_cast<std::int64_t>(file.tensors().size()));
    return *std::move(cached);
  }
  const io::DigestStamp stamp = io::DigestCache::stamp(path);
  io::DigestByName digests;
  for (const io::TensorView& view : file.tensors()) {
    digests[view.name] = io::tensor_digest(view);
    progress.advance();
  }
  cache.store(path, stamp, digests);
  return digests;
}

io::DigestByName base_digests(const io::Checkpoint& base, io::DigestCache& cache,
                              Progress& progress) {
  progress.begin("digests", static_cast<std::int64_t>(base.views().size()), "tensors");
  io::DigestByName all;
  for (const io::SafetensorsFile& file : base.files()) all.merge(digests_of(file, cache, progress));
  progress.end();
  return all;
}

adapter::EffectSums effects_on(const BaseInput& base, const adapter::PatchSet& patches,
                               Progress& progress) {
  progress.begin("effect", static_cast<std::int64_t>(patches.size()), "modules");
  adapter::EffectSums sums;
  for (const auto& [module, patch] : patches) {
    progress.advance();
    const auto found = base.modules.find(module);
    if (found == base.modules.end() || !adapter::EffectSums::counts(patch)) continue;
    const std::string stored =
        base.checkpoint.find(module + ".weight") != nullptr ? module : found->second.tied_to;
    const io::TensorView* view = base.checkpoint.find(stored + ".weight");
    if (view == nullptr) continue;
    sums.add(module, patch, tensor::tensor_of(*view), found->second.kind);
    base.checkpoint.done_with(*view);
  }
  progress.end();
  return sums;
}

Json lora_json(const AdapterInput& input, const adapter::Landing& landing) {
  Json modules = Json::array();
  for (const auto& [module, patch] : landing.patches) {
    Json row{{"module", module}};
    if (patch.has_lora()) {
      row["r"] = patch.lora_a.size(0);
      row["scale"] = patch.scale;
      row["delta_norm"] = adapter::delta_norm(patch);
    }
    if (patch.weight.defined()) row["replaces_weight"] = true;
    if (patch.bias.defined()) row["replaces_bias"] = true;
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

// identity.* against a recorded reference, from digests alone.
Measures identity_against(const InspectOptions& options, const AdapterInput& input,
                          const BaseInput& base, const adapter::AdapterIdentity& adapter,
                          const io::DigestByName& base_tensors) {
  const golden::Suite suite = golden::read_suite(*options.golden);
  const golden::Reference reference =
      golden::read_reference(reference_folder(suite, options.reference, input.name));
  const TextInput text = open_text(suite, base.folder, &input.folder);
  IdentityNow now;
  now.identity = identity_of(base, &adapter, text, base_tensors);
  return identity_measures(reference.identity, now);
}

}  // namespace

report::Report inspect(const InspectOptions& options, Context& context) {
  if (options.golden && !options.base) {
    throw usage_error({.message = "--golden compares identities and needs the base",
                       .where = "--golden",
                       .hint = "pass --base DIR"});
  }
  const report::Policy policy = load_policy(options.policy, Json::object(), "");
  const AdapterInput input = open_adapter(options.adapter);
  std::optional<BaseInput> base;
  if (options.base) base = open_base(*options.base);
  const adapter::Landing landing = adapter::land(
      input.config, input.weights, base ? base->modules : implied_modules(input.weights));
  Measures measures = landing_measures(landing, base.has_value());
  const auto append = [&](Measures more) { std::ranges::move(more, std::back_inserter(measures)); };
  append(zero_effect_measures(adapter::find_zero_effect(landing.patches)));

  io::DigestCache cache;
  report::Report report;
  report.tool.version = kVersion;
  report.command = "inspect";
  const adapter::AdapterIdentity identity = adapter::identify(input.config, input.weights);
  report.inputs = {{"adapter", input.folder.string(), io::combined_digest(identity.tensors)}};
  report.metrics["adapter"] = lora_json(input, landing);
  if (base) {
    const adapter::EffectSums sums = effects_on(*base, landing.patches, context.progress);
    append(effect_measures(sums, landing.patches, input.config.use_rslora));
    const io::DigestByName tensors = base_digests(base->checkpoint, cache, context.progress);
    cache.save();
    report.inputs.push_back({"base", base->folder.string(), io::combined_digest(tensors)});
    if (options.golden) append(identity_against(options, input, *base, identity, tensors));
  }
  report.checks = report::gate(measures, policy);
  return report;
}

}  // namespace loraproof::commands
