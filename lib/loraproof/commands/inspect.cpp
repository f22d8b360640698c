// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/inspect.h"

#include <utility>

#include "loraproof/adapter/effect.h"
#include "loraproof/commands/base_digests.h"
#include "loraproof/commands/inspect_adapter.h"
#include "loraproof/commands/session.h"
#include "loraproof/core/json.h"
#include "loraproof/io/digest.h"
#include "loraproof/report/gate.h"
#include "loraproof/tensor/from_view.h"

namespace loraproof::commands {
namespace {

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
  if (!options.base) return inspect_adapter(options);
  const report::Policy policy = load_policy(options.policy, Json::object(), "");
  const AdapterInput input = open_adapter(options.adapter);
  const BaseInput base = open_base(*options.base);
  AdapterInspection inspection = begin_inspection(input, &base.modules);
  const auto add = [&](Measures measures) { append(inspection.measures, std::move(measures)); };
  const adapter::PatchSet patches = adapter::patches_of(inspection.placement);
  add(effect_measures(effects_on(base, patches, context.progress), patches,
                      input.config.use_rslora));
  const io::DigestByName tensors = BaseDigests(base.checkpoint).all({}, context.progress);
  inspection.report.inputs.push_back({"base", base.folder.string(), io::combined_digest(tensors)});
  if (options.golden) add(identity_against(options, input, base, inspection.identity, tensors));
  inspection.report.checks = report::gate(inspection.measures, policy);
  return std::move(inspection.report);
}

}  // namespace loraproof::commands
