// SPDX-License-Identifier: Apache-2.0
// Turns what the analyses found into measures for the gate. Which id a figure belongs to, and which
// limit follows from the noise floor, is decided here and nowhere else.
#pragma once

#include <vector>

#include "loraproof/adapter/effect.h"
#include "loraproof/adapter/finding.h"
#include "loraproof/adapter/landing.h"
#include "loraproof/golden/compare.h"
#include "loraproof/golden/reference.h"
#include "loraproof/report/measure.h"
#include "loraproof/report/policy.h"

namespace loraproof::commands {

using Measures = std::vector<report::Measure>;

/// One failed measure per finding, and a passing one per id that found nothing; without a base
/// those that need one are skipped.
[[nodiscard]] Measures landing_measures(const adapter::Landing& landing, bool has_base = true);
[[nodiscard]] Measures zero_effect_measures(const std::vector<adapter::Finding>& findings);
[[nodiscard]] Measures effect_measures(const adapter::EffectSums& sums,
                                       const adapter::PatchSet& patches, bool use_rslora);

/// What is run now, to be compared with what the reference was recorded with. Absent parts are
/// skipped: no adapter given (a merged checkpoint), no tokenizer needed.
struct IdentityNow {
  golden::Identity identity;
  bool has_adapter = true;
  std::int64_t prompts_with_other_ids = 0;
  std::int64_t prompts = 0;
};
[[nodiscard]] Measures identity_measures(const golden::Identity& recorded, const IdentityNow& now);

/// Prompts with an `expected` answer: how many are right now and were right when recorded.
struct ExpectedOutcome {
  std::int64_t n = 0;
  std::int64_t right = 0;
  std::int64_t right_when_recorded = 0;
};
[[nodiscard]] Measures golden_measures(const golden::GoldenDiff& diff,
                                       const golden::NoiseFloor& floor,
                                       const ExpectedOutcome& expected,
                                       const report::Policy& policy);
/// golden.prompts alone: are there enough of them?
[[nodiscard]] report::Measure prompt_count_measure(std::int64_t prompts);

}  // namespace loraproof::commands
