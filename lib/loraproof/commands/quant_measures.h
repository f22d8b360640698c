// SPDX-License-Identifier: Apache-2.0
// What a quantcheck found, as measures and metrics.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "loraproof/commands/lanes.h"
#include "loraproof/commands/measures_base.h"
#include "loraproof/commands/outcomes.h"
#include "loraproof/commands/quant_blame.h"
#include "loraproof/commands/quant_lanes.h"
#include "loraproof/core/json_fwd.h"
#include "loraproof/report/policy.h"
#include "loraproof/report/report.h"
#include "loraproof/stats/token_divergence.h"

namespace loraproof::commands {

/// One lane against its reference.
struct LaneFigures {
  const QuantLane* lane = nullptr;
  bool gated = false;
  stats::DivergenceSummary answers, prompts;
  std::vector<double> answer_kld;              ///< per answer token
  std::vector<std::int64_t> answer_prompt;     ///< and the prompt it belongs to
  double embedding_cosine = 1;                 ///< of the last prompt token, mean over prompts
  double embedding_l2 = 0;                     ///< relative distance, mean
  std::vector<std::optional<Leaving>> leaves;  ///< per prompt
  std::int64_t diverged = 0;                   ///< prompts whose greedy answer is another one
  std::optional<OutcomeCounts> outcomes;       ///< of prompts that expect something
  std::optional<stats::Mean> own;  ///< KLD of answers beyond the base's alone in this scheme
};

/// Of a gated lane: quant.kld, quant.same_top, quant.flips, quant.overflow. `floor`: KLD
/// of answers between two healthy runs of the reference.
[[nodiscard]] Measures quant_measures(const LaneFigures& lane, double floor,
                                      const report::Policy& policy);

/// quant.order of one scheme: which order does least damage, or that they can't be told apart.
[[nodiscard]] report::Measure order_measure(const std::string& scheme,
                                            const std::vector<const LaneFigures*>& lanes);

/// quant.blame: the layers that cost most.
[[nodiscard]] report::Measure blame_measure(const Blame& blame);
/// quant.mixed_precision: the modules to keep in 16 bit.
[[nodiscard]] report::Measure mixed_precision_measure(const QuantLane& lane,
                                                      const MixedPrecision& mixed, double floor);

/// All lanes side by side; `checks` say which of the gated ones failed.
[[nodiscard]] report::Table schemes_table(const std::vector<LaneFigures>& lanes,
                                          const std::vector<report::Check>& checks);
[[nodiscard]] report::Table layers_table(const Blame& blame);
[[nodiscard]] report::Table modules_table(const Blame& blame);

[[nodiscard]] Json scheme_metrics(const LaneFigures& lane);
/// Per module of a deployment: rho, noise, the same weighted by inputs, SQNR, bytes, what was
/// clipped, outlier channels of its inputs; what `blame` (null: none) measured of it alone.
[[nodiscard]] Json quant_module_metrics(const LaneFigures& lane, const Blame* blame);

}  // namespace loraproof::commands
