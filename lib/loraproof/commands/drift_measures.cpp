// SPDX-License-Identifier: Apache-2.0
// From a comparison to measures.
#include "loraproof/commands/drift_measures.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "loraproof/report/numbers.h"

namespace loraproof::commands {
namespace {

using report::format_number;

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

}  // namespace

std::vector<report::Measure> lens_measures(const drift::Comparison& comparison,
                                           const drift::CompareOptions& options) {
  std::vector<report::Measure> measures;
  for (const drift::LensShift& lens : comparison.lenses)
    measures.push_back(lens_measure(lens, options, comparison));
  return measures;
}

std::vector<report::Measure> drift_measures(const drift::Comparison& comparison,
                                            const drift::CompareOptions& options,
                                            const std::vector<drift::LensLimit>& limits) {
  std::vector<report::Measure> measures = {prompts_measure(comparison)};
  for (report::Measure& measure : lens_measures(comparison, options)) {
    for (const drift::LensLimit& limit : limits) {
      if (measure.id == "drift." + limit.id && measure.subject == limit.subject)
        measure.derived_limit = report::Limit{.max = limit.limit};
    }
    measures.push_back(std::move(measure));
  }
  add_numbers(measures, comparison, options);
  add_vocabulary(measures, comparison);
  return measures;
}

}  // namespace loraproof::commands
