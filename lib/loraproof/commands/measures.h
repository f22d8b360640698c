// SPDX-License-Identifier: Apache-2.0
// Turns what the analyses found into measures for the gate. Which id a figure belongs to, and which
// limit follows from the noise floor, is decided here and in measures_base.h, and nowhere else.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "loraproof/adapter/effect.h"
#include "loraproof/commands/measures_base.h"
#include "loraproof/commands/outcomes.h"
#include "loraproof/golden/compare.h"
#include "loraproof/golden/reference.h"
#include "loraproof/golden/suite.h"
#include "loraproof/merge/lineage.h"
#include "loraproof/report/policy.h"

namespace loraproof::commands {

/// effect.scale and effect.already_merged.
[[nodiscard]] Measures effect_measures(const adapter::EffectSums& sums,
                                       const adapter::PatchSet& patches, bool use_rslora);

/// A folder that `merge` wrote, and how its weight files differ from those it wrote, if they do.
struct MergedFrom {
  merge::Lineage lineage;
  std::optional<std::string> changed_file;
};

/// What is run now, to be compared with what the reference was recorded with. Absent parts are
/// skipped: no adapter given (a merged checkpoint), no tokenizer needed.
struct IdentityNow {
  golden::Identity identity;
  bool has_adapter = true;
  std::optional<MergedFrom> merged = std::nullopt;  ///< where the base is an output of `merge`
  bool adapter_may_differ = false;  ///< a new version of the adapter: its identity is reported only
  std::int64_t prompts_with_other_ids = 0;
  std::int64_t prompts = 0;
};
[[nodiscard]] Measures identity_measures(const golden::Identity& recorded, const IdentityNow& now);

/// What a lane did with the prompts of a suite, or of one slice of it.
struct Behaviour {
  const golden::GoldenDiff* diff = nullptr;
  const golden::Reference* reference = nullptr;
  ExpectedOutcomes outcomes;
};
/// The golden.* checks of one lane. Against a revision the questions about sameness are reported
/// only, and the expected answers decide.
[[nodiscard]] Measures golden_measures(const Behaviour& behaviour, golden::Against against,
                                       const report::Policy& policy, std::uint64_t seed);
/// golden.prompts alone: are there enough of them?
[[nodiscard]] report::Measure prompt_count_measure(std::int64_t prompts);

}  // namespace loraproof::commands
