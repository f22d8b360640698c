// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/quant_measures.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <span>

#include "loraproof/core/json.h"
#include "loraproof/core/json_number.h"
#include "loraproof/report/numbers.h"

namespace loraproof::commands {
namespace {

using report::format_number;
using report::Measure;
using report::Outcome;

// Of a normal distribution, two-sided 95 %.
constexpr double kNormal = 1.959963984540054;

std::optional<report::Interval> interval_of(const stats::Mean& mean, double least) {
  if (!std::isfinite(mean.error)) return std::nullopt;
  return report::Interval{std::max(least, mean.value - kNormal * mean.error),
                          mean.value + kNormal * mean.error};
}

deploy::WeightDamage total_damage(const QuantLane& lane) {
  deploy::WeightDamage total;
  if (lane.deployment == nullptr) return total;
  for (const auto& [module, damage] : lane.deployment->damage()) total += damage;
  return total;
}

Measure kld(const LaneFigures& lane, double floor) {
  stats::Mean beyond = lane.answers.kld;
  beyond.value = std::max(0.0, beyond.value - floor);
  return {
      .id = "quant.kld",
      .subject = lane.lane->name(),
      .value = beyond.value,
      .interval = interval_of(beyond, 0),
      .n = lane.answers.prompts,
      .message = fmt::format(
          "mean KLD(reference || {}) over {} answer tokens, beyond the noise of {}{}; PPL ratio {}",
          lane.lane->name(), lane.answers.tokens, format_number(floor),
          lane.own ? fmt::format("; the base alone has {} on the same tokens",
                                 format_number(lane.answers.kld.value - lane.own->value))
                   : "",
          format_number(lane.answers.ppl_ratio())),
      .hint =
          "deploy in a higher precision, or keep the modules that cost most in 16 bit "
          "(--keep; metrics.layers ranks them)"};
}

Measure same_top(const LaneFigures& lane) {
  return {.id = "quant.same_top",
          .subject = lane.lane->name(),
          .value = lane.answers.same_top.value,
          .interval = interval_of(lane.answers.same_top, 0),
          .n = lane.answers.prompts,
          .message = fmt::format("answer tokens that both prefer; {} of {} greedy answers are "
                                 "others",
                                 lane.diverged, lane.answers.prompts),
          .hint = "look at the prompts that diverge: other words for the same are no harm"};
}

Measure flips(const LaneFigures& lane, const report::Policy& policy) {
  Measure measure{.id = "quant.flips", .subject = lane.lane->name()};
  if (!lane.outcomes || lane.outcomes->flips.n == 0) {
    measure.outcome = Outcome::Skipped;
    measure.message = "no prompt of the suite expects anything";
    return measure;
  }
  const stats::Flips& flips = lane.outcomes->flips;
  const double level = policy.number("golden.alpha");
  const double p = stats::mcnemar_p(flips);
  measure.value = flips.excess();
  measure.n = flips.n;
  measure.significance = report::Significance{.p = p, .level = level};
  measure.message = fmt::format("{} answers became wrong and {} right, of {} (McNemar p {})",
                                flips.lost, flips.gained, flips.n, format_number(p));
  measure.hint = "deploy in a higher precision; prompts[] has the answers that flipped";
  return measure;
}

Measure overflow(const LaneFigures& lane) {
  const deploy::WeightDamage damage = total_damage(*lane.lane);
  const std::int64_t bad = damage.tally.overflowed + damage.tally.non_finite;
  return {.id = "quant.overflow",
          .subject = lane.lane->name(),
          .value = static_cast<double>(bad),
          .n = damage.tally.values,
          .message = fmt::format("{} weights overflow or are no numbers; {} were clipped", bad,
                                 damage.tally.clipped),
          .hint = "use a type with more range (bf16), or keep those modules (--keep)",
          .outcome = bad == 0 ? Outcome::Pass : Outcome::Fail};
}

Json mean_json(const stats::Mean& mean) {
  return {{"mean", number_or_null(mean.value)},
          {"error", number_or_null(mean.error)},
          {"token_error", number_or_null(mean.token_error)}};
}

Json percentiles_json(const stats::Percentiles& p) {
  return {{"minimum", number_or_null(p.minimum)}, {"1%", number_or_null(p.p1)},
          {"5%", number_or_null(p.p5)},           {"10%", number_or_null(p.p10)},
          {"median", number_or_null(p.median)},   {"90%", number_or_null(p.p90)},
          {"95%", number_or_null(p.p95)},         {"99%", number_or_null(p.p99)},
          {"99.9%", number_or_null(p.p999)},      {"maximum", number_or_null(p.maximum)}};
}

Json summary_json(const stats::DivergenceSummary& summary) {
  return {{"tokens", summary.tokens},
          {"ppl", number_or_null(summary.ppl)},
          {"ppl_base", number_or_null(summary.ppl_base)},
          {"ppl_ratio", number_or_null(summary.ppl_ratio())},
          {"ppl_correlation", number_or_null(summary.correlation)},
          {"ln_ppl_ratio", mean_json(summary.log_ratio)},
          {"kld", mean_json(summary.kld)},
          {"kld_percentiles", percentiles_json(summary.kld_percentiles)},
          {"delta_p", mean_json(summary.delta_p)},
          {"delta_p_percentiles", percentiles_json(summary.delta_p_percentiles)},
          {"rms_delta_p", number_or_null(summary.rms_delta_p)},
          {"same_top", mean_json(summary.same_top)}};
}

// Of the difference of two lanes' KLD over the same tokens.
stats::Mean difference(const LaneFigures& a, const LaneFigures& b) {
  std::vector<double> values(a.answer_kld.size());
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = a.answer_kld[i] - b.answer_kld[i];
  return stats::clustered_mean(values, a.answer_prompt);
}

}  // namespace

Measures quant_measures(const LaneFigures& lane, double floor, const report::Policy& policy) {
  Measures measures = {kld(lane, floor), same_top(lane), flips(lane, policy)};
  if (lane.lane->scheme != nullptr) measures.push_back(overflow(lane));
  return measures;
}

report::Measure order_measure(const std::string& scheme,
                              const std::vector<const LaneFigures*>& lanes) {
  Measure measure{.id = "quant.order", .subject = scheme, .outcome = Outcome::Pass};
  std::vector<const LaneFigures*> sorted = lanes;
  std::ranges::sort(sorted, {}, [](const LaneFigures* l) { return l->answers.kld.value; });
  const LaneFigures& best = *sorted.front();
  std::string others;
  bool told_apart = true;
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    const stats::Mean more = difference(*sorted[i], best);
    const double low = more.value - kNormal * more.error;
    told_apart = told_apart && low > 0;
    others += fmt::format("{}{} has {} more [{}, {}]", i == 1 ? "" : ", ", sorted[i]->lane->name(),
                          format_number(more.value), format_number(low),
                          format_number(more.value + kNormal * more.error));
  }
  measure.value = best.answers.kld.value;
  measure.n = best.answers.prompts;
  if (sorted.size() == 1) {
    measure.message = fmt::format("{} was the only order that was run", best.lane->name());
  } else if (told_apart) {
    measure.message = fmt::format("{} does least damage: KLD {}; {}", best.lane->name(),
                                  format_number(best.answers.kld.value), others);
  } else {
    measure.message = fmt::format("the orders can't be told apart: {} has KLD {}; {}",
                                  best.lane->name(), format_number(best.answers.kld.value), others);
  }
  return measure;
}

report::Measure blame_measure(const Blame& blame) {
  Measure measure{.id = "quant.blame", .subject = blame.lane->name(), .outcome = Outcome::Pass};
  const bool exact = blame.layers.front().swap.has_value();
  std::string list;
  const std::vector<std::size_t> ranking = blame.ranking();
  for (std::size_t i = 0; i < std::min<std::size_t>(5, ranking.size()); ++i) {
    const LayerBlame& layer = blame.layers[ranking[i]];
    list += fmt::format("{}{} ({})", i == 0 ? "" : ", ", layer.layer,
                        format_number(layer.swap.value_or(layer.estimate)));
  }
  measure.message =
      exact ? fmt::format(
                  "layers by the KLD that each costs alone: {}; rank correlation with the "
                  "estimate {}",
                  list, format_number(blame.correlation.value_or(0)))
            : fmt::format(
                  "layers by how much of their own output changes: {}; --blame swap "
                  "measures what each costs",
                  list);
  return measure;
}

report::Measure mixed_precision_measure(const QuantLane& lane, const MixedPrecision& mixed,
                                        double floor) {
  Measure measure{.id = "quant.mixed_precision",
                  .subject = lane.name(),
                  .value = std::max(0.0, mixed.kld - floor),
                  .outcome = mixed.within ? Outcome::Pass : Outcome::Fail};
  constexpr std::size_t kNamed = 4;
  const std::span first(mixed.kept.data(), std::min(kNamed, mixed.kept.size()));
  measure.message = fmt::format(
      "with {} modules in 16 bit ({}{}; {} bytes more) the mean KLD is {}{}", mixed.kept.size(),
      fmt::join(first, ", "), mixed.kept.size() > kNamed ? "... in metrics.mixed_precision" : "",
      mixed.more_bytes, format_number(mixed.kld), mixed.within ? "" : ", still over the limit");
  measure.hint = mixed.within ? "" : "take a scheme with more bits";
  return measure;
}

report::Table schemes_table(const std::vector<LaneFigures>& lanes,
                            const std::vector<report::Check>& checks) {
  report::Table table{
      .title = "deployments (answer tokens; D is destroyed by rounding where it is small)",
      .columns = {"scheme", "deployment", "MB", "KLD", "+-", "99 %", "own", "same top", "PPL ratio",
                  "flips", "rho", "gate"},
      .rows = {}};
  for (const LaneFigures& lane : lanes) {
    const deploy::WeightDamage damage = total_damage(*lane.lane);
    const auto fails = [&](const report::Check& check) {
      return check.subject == lane.lane->name() && check.status == report::Status::Fail;
    };
    std::string flips = "-", gate;
    if (lane.outcomes)
      flips = fmt::format("-{} +{}", lane.outcomes->flips.lost, lane.outcomes->flips.gained);
    if (lane.gated) gate = std::ranges::any_of(checks, fails) ? "FAIL" : "pass";
    table.rows.push_back(
        {lane.lane->scheme_name(),
         lane.lane->order ? std::string(deploy::name_of(*lane.lane->order)) : "base alone",
         fmt::format("{:.1f}", static_cast<double>(damage.bytes) / 1e6),
         format_number(lane.answers.kld.value), format_number(kNormal * lane.answers.kld.error),
         format_number(lane.answers.kld_percentiles.p99),
         lane.own ? format_number(lane.own->value) : "-",
         fmt::format("{:.4f}", lane.answers.same_top.value),
         fmt::format("{:.4f}", lane.answers.ppl_ratio()), std::move(flips),
         lane.lane->order ? fmt::format("{:.3f}", damage.change.survival()) : "-",
         std::move(gate)});
  }
  return table;
}

report::Table layers_table(const Blame& blame) {
  constexpr std::size_t kMost = 8;
  report::Table table{
      .title = fmt::format("layers of {}, the worst first", blame.lane->name()),
      .columns = {"layer", "change of its own output", "KLD alone", "KLD without it"},
      .rows = {}};
  const std::vector<std::size_t> ranking = blame.ranking();
  for (std::size_t i = 0; i < std::min(kMost, ranking.size()); ++i) {
    const LayerBlame& layer = blame.layers[ranking[i]];
    table.rows.push_back({std::to_string(layer.layer), format_number(layer.estimate),
                          layer.swap ? format_number(*layer.swap) : "-",
                          layer.left_out ? format_number(*layer.left_out) : "-"});
  }
  return table;
}

report::Table modules_table(const Blame& blame) {
  constexpr std::size_t kMost = 8;
  report::Table table{.title = fmt::format("modules of {}, in the order to keep them in 16 bit",
                                           blame.lane->name()),
                      .columns = {"module", "change of its own output", "KLD alone", "MB more"},
                      .rows = {}};
  const std::vector<std::size_t> ranking = blame.module_ranking();
  for (std::size_t i = 0; i < std::min(kMost, ranking.size()); ++i) {
    const ModuleBlame& module = blame.modules[ranking[i]];
    table.rows.push_back({module.module, format_number(module.estimate),
                          module.swap ? format_number(*module.swap) : "-",
                          fmt::format("{:.2f}", static_cast<double>(module.more_bytes) / 1e6)});
  }
  return table;
}

Json scheme_metrics(const LaneFigures& lane) {
  const QuantLane& which = *lane.lane;
  const deploy::WeightDamage damage = total_damage(which);
  Json flips = nullptr;
  if (lane.outcomes) {
    flips = {{"right_to_wrong", lane.outcomes->flips.lost},
             {"wrong_to_right", lane.outcomes->flips.gained},
             {"n", lane.outcomes->flips.n},
             {"p", number_or_null(stats::mcnemar_p(lane.outcomes->flips))}};
  }
  return {{"scheme", which.scheme_name()},
          {"deployment", which.order ? Json(deploy::name_of(*which.order)) : Json("base alone")},
          {"source", which.candidate.empty() ? "simulated" : "checkpoint"},
          {"gated", lane.gated},
          {"bytes", damage.bytes},
          {"kld_mean", number_or_null(lane.answers.kld.value)},
          {"kld_p99", number_or_null(lane.answers.kld_percentiles.p99)},
          {"same_top", number_or_null(lane.answers.same_top.value)},
          {"ppl_ratio", number_or_null(lane.answers.ppl_ratio())},
          {"flips", std::move(flips)},
          {"embedding_cosine", number_or_null(lane.embedding_cosine)},
          {"embedding_l2", number_or_null(lane.embedding_l2)},
          {"diverged", lane.diverged},
          {"own_damage", lane.own ? mean_json(*lane.own) : Json(nullptr)},
          {"rho", number_or_null(damage.change.survival())},
          {"noise", number_or_null(damage.change.noise())},
          {"sqnr_db", number_or_null(damage.sqnr())},
          {"answers", summary_json(lane.answers)},
          {"prompts", summary_json(lane.prompts)}};
}

Json quant_module_metrics(const LaneFigures& lane, const Blame* blame) {
  Json rows = Json::array();
  if (lane.lane->deployment == nullptr) return rows;
  const auto alone = [&](const std::string& module) -> Json {
    if (blame == nullptr) return nullptr;
    const auto found = std::ranges::find(blame->modules, module, &ModuleBlame::module);
    return found == blame->modules.end() ? Json(nullptr) : number_or_null(found->swap);
  };
  for (const auto& [module, damage] : lane.lane->deployment->damage()) {
    rows.push_back({{"module", module},
                    {"scheme", lane.lane->scheme_name()},
                    {"deployment", deploy::name_of(*lane.lane->order)},
                    {"rho", number_or_null(damage.change.survival())},
                    {"noise", number_or_null(damage.change.noise())},
                    {"rho_inputs", number_or_null(damage.weighted.survival())},
                    {"noise_inputs", number_or_null(damage.weighted.noise())},
                    {"output_error", number_or_null(damage.output_error())},
                    {"blame", alone(module)},
                    {"sqnr_db", number_or_null(damage.sqnr())},
                    {"outlier_channels", damage.outlier_channels},
                    {"largest_input", number_or_null(damage.largest_input)},
                    {"bytes", damage.bytes},
                    {"clipped", damage.tally.clipped},
                    {"overflowed", damage.tally.overflowed}});
  }
  return rows;
}

}  // namespace loraproof::commands
