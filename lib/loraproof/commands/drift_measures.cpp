// SPDX-License-Identifier: Apache-2.0
// From a comparison to measures and metrics.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "loraproof/commands/drift_compare.h"
#include "loraproof/report/numbers.h"

namespace loraproof::commands {
namespace {

using report::format_number;

Json finite(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
Json finite(const std::optional<double>& value) { return value ? finite(*value) : Json(nullptr); }

const char* direction_of(double difference) {
  return difference > 0 ? "up" : difference < 0 ? "down" : "none";
}

report::Measure prompts_measure(const drift::Comparison& comparison) {
  const std::int64_t n = std::min(comparison.reference_units, comparison.window_units);
  return {.id = "drift.prompts",
          .value = static_cast<double>(n),
          .n = n,
          .message = fmt::format("{} in the reference, {} in the window",
                                 comparison.reference_units, comparison.window_units),
          .hint = "take a longer window, or a larger reference"};
}

report::Measure lens_measure(const drift::LensShift& lens, const drift::CompareOptions& options,
                             const drift::Comparison& comparison) {
  report::Measure measure{.id = "drift." + lens.id, .subject = lens.subject};
  measure.n = lens.smaller_n();
  const bool enough =
      std::min(comparison.reference_units, comparison.window_units) >= options.min_units;
  if (!lens.p) {
    const std::string reason = lens.reason.empty() ? "these prompts can't be tested" : lens.reason;
    measure.message = enough ? reason : "too few prompts";
    measure.outcome =
        enough && lens.one_sided ? report::Outcome::Inconclusive : report::Outcome::Skipped;
    return measure;
  }
  measure.value = lens.effect;
  measure.message = lens.detail;
  measure.hint = fmt::format(
      "if this is the new normal, make a new reference; to accept more: --set drift.{}.max=VALUE",
      lens.id);
  bool notable = lens.adjusted_p <= options.level;
  if (lens.id == "document_frequency") notable = notable || comparison.tokens.discoveries > 0;
  if (lens.id == "bigram_frequency") notable = notable || comparison.bigrams.discoveries > 0;
  measure.significance = {.p = lens.adjusted_p, .level = options.level, .notable = notable};
  return measure;
}

struct Number {
  const char* id;
  const char* subject;
  double plain;
  double debiased;
  double standard_error;
};

// Significance is that of `groups`; nothing alarms on the number alone.
report::Measure number_measure(const Number& number, const drift::LensShift& groups, double level) {
  constexpr double kZ95 = 1.96;
  const double value = number.debiased, margin = kZ95 * number.standard_error;
  report::Measure measure{
      .id = number.id, .subject = number.subject, .value = value, .report_only = true};
  measure.n = groups.smaller_n();
  measure.interval = {.low = value - margin, .high = value + margin, .level = 0.95};
  measure.message = fmt::format("{} as it is, {} without noise and smoothing",
                                format_number(number.plain), format_number(value));
  measure.hint = "which tokens moved is in the table of contributions";
  measure.significance = {
      .p = groups.adjusted_p, .level = level, .notable = groups.adjusted_p <= level};
  return measure;
}

void add_numbers(std::vector<report::Measure>& measures, const drift::Comparison& comparison,
                 const drift::CompareOptions& options) {
  const drift::LensShift* shift = comparison.find("group_shift");
  if (!comparison.groups || !comparison.groups->debiased || !shift || !shift->p) return;
  const stats::Divergences& plain = comparison.groups->plain;
  const stats::DebiasedDivergences& value = *comparison.groups->debiased;
  const Number numbers[] = {{"drift.psi", "", plain.psi, value.psi, value.psi_standard_error},
                            {"drift.kl", "window || reference", plain.kl_window_reference,
                             value.kl_window_reference, value.kl_standard_error},
                            {"drift.kl", "reference || window", plain.kl_reference_window,
                             value.kl_reference_window, value.kl_standard_error}};
  for (const Number& number : numbers)
    measures.push_back(number_measure(number, *shift, options.level));
}

void add_vocabulary(std::vector<report::Measure>& measures, const drift::Comparison& comparison) {
  if (!comparison.vocabulary) return;
  const stats::VocabularyDivergence& numbers = *comparison.vocabulary;
  report::Measure measure{.id = "drift.vocabulary"};
  measure.message = fmt::format(
      "not a test: PSI {} and KL {} of {} tokens one by one; without any drift they would be {} "
      "and "
      "{} or more",
      format_number(numbers.psi), format_number(numbers.kl), numbers.tokens,
      format_number(numbers.no_drift_psi), format_number(numbers.no_drift_kl));
  if (comparison.reference_entropy && comparison.window_entropy) {
    measure.message +=
        fmt::format("; entropy {} nats a token, was {}", format_number(*comparison.window_entropy),
                    format_number(*comparison.reference_entropy));
  }
  measure.outcome = report::Outcome::Pass;
  measures.push_back(std::move(measure));
}

Json to_json(const drift::LensShift& lens) {
  return {{"id", "drift." + lens.id},
          {"subject", lens.subject},
          {"p", finite(lens.p)},
          {"adjusted_p", lens.p ? finite(lens.adjusted_p) : Json(nullptr)},
          {"effect", lens.p ? finite(lens.effect) : Json(nullptr)},
          {"direction", lens.p ? Json(direction_of(lens.difference)) : Json(nullptr)},
          {"difference", lens.p ? finite(lens.difference) : Json(nullptr)},
          {"reference", finite(lens.reference)},
          {"window", finite(lens.window)},
          {"reference_n", lens.reference_n},
          {"window_n", lens.window_n},
          {"test", lens.test.empty() ? Json(nullptr) : Json(lens.test)},
          {"not_tested", lens.reason.empty() ? Json(nullptr) : Json(lens.reason)}};
}

Json to_json(const drift::ScanSummary& scan) {
  return {{"tested", scan.tested},
          {"discoveries", scan.discoveries},
          {"in_more_prompts", scan.risen},
          {"in_fewer_prompts", scan.discoveries - scan.risen},
          {"changed_share_at_least", finite(scan.changed_share)}};
}

Json to_json(const stats::GroupDivergence& groups) {
  Json json = {{"psi", finite(groups.plain.psi)},
               {"kl_reference_window", finite(groups.plain.kl_reference_window)},
               {"kl_window_reference", finite(groups.plain.kl_window_reference)},
               {"js_distance", finite(groups.plain.js_distance)},
               {"total_variation", finite(groups.plain.total_variation)},
               {"hellinger", finite(groups.plain.hellinger)},
               {"debiased", nullptr}};
  if (const auto& value = groups.debiased) {
    json["debiased"] = {{"psi", finite(value->psi)},
                        {"psi_standard_error", finite(value->psi_standard_error)},
                        {"kl_reference_window", finite(value->kl_reference_window)},
                        {"kl_window_reference", finite(value->kl_window_reference)},
                        {"kl_standard_error", finite(value->kl_standard_error)},
                        {"no_drift_psi", finite(value->no_drift_psi)}};
  }
  return json;
}

}  // namespace

std::vector<report::Measure> drift_measures(const drift::Comparison& comparison,
                                            const drift::CompareOptions& options) {
  std::vector<report::Measure> measures = {prompts_measure(comparison)};
  for (const drift::LensShift& lens : comparison.lenses)
    measures.push_back(lens_measure(lens, options, comparison));
  add_numbers(measures, comparison, options);
  add_vocabulary(measures, comparison);
  return measures;
}

Json drift_metrics(const drift::Comparison& comparison) {
  Json json = {{"lenses", Json::array()},
               {"tokens", to_json(comparison.tokens)},
               {"bigram_cells", to_json(comparison.bigrams)},
               {"groups", comparison.groups ? to_json(*comparison.groups) : Json(nullptr)},
               {"vocabulary_not_a_test", nullptr},
               {"entropy",
                {{"reference", finite(comparison.reference_entropy)},
                 {"window", finite(comparison.window_entropy)}}},
               {"features", Json::array()}};
  for (const drift::LensShift& lens : comparison.lenses) json["lenses"].push_back(to_json(lens));
  if (const auto& numbers = comparison.vocabulary) {
    json["vocabulary_not_a_test"] = {{"tokens", numbers->tokens},
                                     {"psi", finite(numbers->psi)},
                                     {"no_drift_psi", finite(numbers->no_drift_psi)},
                                     {"kl", finite(numbers->kl)},
                                     {"no_drift_kl", finite(numbers->no_drift_kl)}};
  }
  for (const drift::FeatureNumbers& feature : comparison.features) {
    json["features"].push_back(
        {{"name", feature.name},
         {"categories", feature.categories},
         {"divergence", feature.shares ? to_json(*feature.shares) : Json(nullptr)}});
  }
  return json;
}

Json drift_contributions(const drift::Comparison& comparison, const text::Tokenizer* tokenizer,
                         std::size_t most) {
  Json rows = Json::array();
  for (const drift::Contribution& token : comparison.tokens.tokens) {
    if (rows.size() == most) break;
    Json row = {{"id", token.id}, {"text", nullptr}};
    if (tokenizer != nullptr) {
      const std::int32_t ids[] = {token.id};
      std::string text = tokenizer->decode(ids, false);
      // Bytes that are no character by themselves: the token's own spelling tells them apart.
      if (text.empty() || text.find("\xEF\xBF\xBD") != text.npos)
        text = tokenizer->id_to_token(token.id).value_or(text);
      row["text"] = text;
    }
    row["reference_share"] = finite(token.reference);
    row["window_share"] = finite(token.window);
    row["difference"] = finite(token.difference);
    row["q"] = finite(token.q);
    row["direction"] = direction_of(token.difference);
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace loraproof::commands
