// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/compare.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/drift/frequencies.h"
#include "loraproof/drift/lens_shift.h"
#include "loraproof/drift/merge.h"
#include "loraproof/stats/categorical.h"
#include "loraproof/stats/document_frequency_scan.h"
#include "loraproof/stats/multiple_testing.h"
#include "loraproof/stats/sketch_test.h"

namespace loraproof::drift {
namespace {

LensShift shift_of(const char* id, const Counts& reference, const Counts& window) {
  LensShift shift{.id = id};
  shift.reference_n = reference.units;
  shift.window_n = window.units;
  return shift;
}

std::string scan_detail(const ScanSummary& scan, const char* what) {
  if (scan.tested == 0) return fmt::format("no {} is common enough to test", what);
  return fmt::format("{} of {} tested {}s moved: in more prompts {}, in fewer {}", scan.discoveries,
                     scan.tested, what, scan.risen, scan.discoveries - scan.risen);
}

void run_scan(const PairedCounts& counts, LensShift& shift, ScanSummary& out,
              const CompareOptions& options) {
  const stats::DocumentFrequencyScan scan = stats::scan_document_frequencies(
      counts.reference, shift.reference_n, counts.window, shift.window_n, {.alpha = options.level});
  out.tested = scan.tokens.size();
  out.discoveries = scan.discoveries;
  out.changed_share = scan.changed_share;
  for (std::size_t i = 0; i < scan.discoveries; ++i) {
    const stats::TokenShift& token = scan.tokens[i];
    out.risen += token.difference > 0 ? 1 : 0;
    out.tokens.push_back({.id = counts.ids[token.token],
                          .reference = token.reference_share,
                          .window = token.window_share,
                          .difference = token.difference,
                          .p = token.p,
                          .q = token.q});
  }
  std::ranges::stable_sort(out.tokens, [](const Contribution& a, const Contribution& b) {
    return std::abs(a.difference) > std::abs(b.difference);
  });
  shift.test = "Fisher mid-p scan, Benjamini-Hochberg";
  shift.effect = scan.changed_share;
  if (scan.tokens.empty()) {
    shift.reason = "nothing is common enough to test";
  } else {
    shift.p = scan.smallest_q();
    if (!out.tokens.empty()) shift.difference = out.tokens.front().difference;
  }
}

void add_scans(Comparison& result, const Counts& reference, const Counts& window,
               const CompareOptions& options) {
  LensShift tokens = shift_of("document_frequency", reference, window);
  LensShift bigrams = shift_of("bigram_frequency", reference, window);
  if (!lacks_units(tokens, options.min_units)) {
    run_scan(token_frequencies(reference, window), tokens, result.tokens, options);
    tokens.detail = scan_detail(result.tokens, "token");
  }
  if (!lacks_units(bigrams, options.min_units)) {
    run_scan(bigram_frequencies(reference, window), bigrams, result.bigrams, options);
    bigrams.detail = scan_detail(result.bigrams, "bigram cell");
  }
  result.lenses.push_back(std::move(tokens));
  result.lenses.push_back(std::move(bigrams));
}

void add_vectors(Comparison& result, const Counts& reference, const Counts& window,
                 const CompareOptions& options) {
  const Moments sketch_a = sketch_moments(reference), sketch_b = sketch_moments(window);
  LensShift sketch{.id = "sketch", .reference_n = sketch_a.n, .window_n = sketch_b.n};
  if (!lacks_units(sketch, options.min_units)) {
    if (const auto test = stats::sketch_test(sketch_a.view(), sketch_b.view())) {
      sketch.test = "Bai-Saranadasa";
      sketch.p = test->p;
      result.sketch_z = test->z;
      sketch.effect = std::max(0.0, test->squared_distance - test->expected);
      sketch.detail = fmt::format("squared distance {:.4g}, {:.4g} of it expected without drift",
                                  test->squared_distance, test->expected);
    }
  }
  result.lenses.push_back(std::move(sketch));

  const Moments group_a = group_moments(reference), group_b = group_moments(window);
  LensShift groups{.id = "group_shift", .reference_n = group_a.n, .window_n = group_b.n};
  result.groups = stats::group_divergence(group_a.view(), group_b.view());
  if (!lacks_units(groups, options.min_units) && result.groups && result.groups->debiased) {
    if (const auto test = stats::group_shift_test(group_a.view(), group_b.view())) {
      groups.test = "Bai-Saranadasa on shares";
      groups.p = test->p;
      groups.effect = std::max(0.0, result.groups->debiased->psi);
      groups.detail =
          fmt::format("PSI of {} groups of tokens, without what noise makes of it", kGroups);
    }
  }
  result.lenses.push_back(std::move(groups));
}

// The category that moved most, and the test over all of them.
LensShift feature_shift(const Feature& a, const PairedValues& values,
                        const CompareOptions& options) {
  LensShift shift{.id = a.name == "finish_reason" ? "finish_reason" : "feature"};
  if (shift.id == "feature") shift.subject = a.name;
  for (const std::int64_t count : values.reference) shift.reference_n += count;
  for (const std::int64_t count : values.window) shift.window_n += count;
  if (lacks_units(shift, options.min_units)) return shift;
  if (values.values.size() < 2) {
    shift.reason = "one value on both sides";
    return shift;
  }
  const auto test = stats::compare_categories(values.reference, values.window);
  if (!test) return shift;
  shift.test = test->exact ? "Fisher mid-p" : "chi-square";
  shift.p = test->p;
  for (std::size_t i = 0; i < values.values.size(); ++i) {
    const double before =
        static_cast<double>(values.reference[i]) / static_cast<double>(shift.reference_n);
    const double now = static_cast<double>(values.window[i]) / static_cast<double>(shift.window_n);
    if (std::abs(now - before) <= shift.effect) continue;
    shift.difference = now - before;
    shift.effect = std::abs(shift.difference);
    shift.reference = before;
    shift.window = now;
    shift.detail =
        fmt::format("most moved is '{}': {:.4g}, was {:.4g}", values.values[i], now, before);
  }
  return shift;
}

void add_features(Comparison& result, const Counts& reference, const Counts& window,
                  const CompareOptions& options) {
  const bool sealed = reference.seal || window.seal;
  for (std::size_t i = 0; i < reference.features.size(); ++i) {
    const Feature& a = reference.features[i];
    const PairedValues values = feature_values(a, window.features[i], sealed);
    result.lenses.push_back(feature_shift(a, values, options));
    result.features.push_back({.name = a.name,
                               .categories = values.values.size(),
                               .shares = stats::count_divergence(values.reference, values.window)});
  }
}

void add_vocabulary(Comparison& result, const Counts& reference, const Counts& window) {
  if (reference.seal || window.seal) return;  // what is folded would count as gone
  const PairedCounts counts = token_occurrences(reference, window);
  result.vocabulary = stats::vocabulary_divergence(counts.reference, counts.window);
  result.reference_entropy = stats::miller_madow_entropy(counts.reference);
  result.window_entropy = stats::miller_madow_entropy(counts.window);
}

}  // namespace

const LensShift* Comparison::find(std::string_view id, std::string_view subject) const {
  const auto found = std::ranges::find_if(
      lenses, [&](const LensShift& lens) { return lens.id == id && lens.subject == subject; });
  return found == lenses.end() ? nullptr : &*found;
}

void expect_comparable(const Profile& reference, const Profile& window) {
  if (const std::string what = difference(reference.fingerprint, window.fingerprint);
      !what.empty()) {
    throw input_error({.message = "these profiles can't be compared: " + what,
                       .hint = "profile both with the same tokenizer, key and options, and the "
                               "window with --map REFERENCE"});
  }
  if (!same_features(reference, window)) {
    throw input_error({.message = "these profiles can't be compared: their features differ",
                       .hint = "pass the same --feature options in the same order"});
  }
  if (reference.segmented_by != window.segmented_by) {
    throw input_error({.message = "these profiles can't be compared: their segments differ",
                       .expected = reference.segmented_by.empty() ? "none" : reference.segmented_by,
                       .found = window.segmented_by.empty() ? "none" : window.segmented_by,
                       .hint = "profile both with the same --by, or both without"});
  }
}

Comparison compare_counts(const Counts& reference, const Counts& window, Side side,
                          const CompareOptions& options) {
  Comparison result{.reference_units = reference.units, .window_units = window.units};
  add_scans(result, reference, window, options);
  add_vectors(result, reference, window, options);
  for (LensShift& lens : test_lenses(reference, window, side, options))
    result.lenses.push_back(std::move(lens));
  add_features(result, reference, window, options);
  add_vocabulary(result, reference, window);
  adjust_together({&result});
  return result;
}

Comparison compare(const Profile& reference, const Profile& window, const CompareOptions& options) {
  expect_comparable(reference, window);
  return compare_counts(reference, window, reference.map.side, options);
}

void adjust_together(std::vector<Comparison*> comparisons) {
  std::vector<LensShift*> tested;
  std::vector<double> p;
  for (Comparison* comparison : comparisons) {
    for (LensShift& lens : comparison->lenses) {
      if (!lens.p) continue;
      tested.push_back(&lens);
      p.push_back(*lens.p);
    }
  }
  const std::vector<double> adjusted = stats::holm(p);
  for (std::size_t i = 0; i < tested.size(); ++i) tested[i]->adjusted_p = adjusted[i];
}

}  // namespace loraproof::drift
