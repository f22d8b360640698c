// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/lens_shift.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>

#include "loraproof/stats/count_tails.h"
#include "loraproof/stats/two_sample.h"

namespace loraproof::drift {
namespace {

// How a lens is tested, and what its effect is.
enum class Kind {
  Length,    // Welch's test on logs; effect: change of the geometric mean, as a share of it
  Relative,  // score test; effect: change of the ratio, as a share of it
  Share,     // score test or Fisher's; effect: difference of the ratios
};

struct Row {
  Lens lens;
  const char* id;
  const char* subject;
  Kind kind;
  bool outputs_only;
};

constexpr std::array kRows{
    Row{Lens::LengthTokens, "length", "tokens", Kind::Length, false},
    Row{Lens::LengthBytes, "length", "bytes", Kind::Length, false},
    Row{Lens::TokensPerByte, "tokens_per_byte", "", Kind::Relative, false},
    Row{Lens::UnseenTokens, "unseen_tokens", "", Kind::Share, false},
    Row{Lens::Novelty, "novelty", "", Kind::Share, false},
    Row{Lens::FallbackTokens, "fallback_tokens", "", Kind::Share, false},
    Row{Lens::SpecialTokens, "special_tokens", "", Kind::Share, false},
    Row{Lens::TemplateMarkers, "template_markers", "", Kind::Share, false},
    Row{Lens::DistinctTwo, "distinct_two", "", Kind::Share, false},
    Row{Lens::Digits, "digits", "", Kind::Share, false},
    Row{Lens::Url, "url", "", Kind::Share, false},
    Row{Lens::CodeFence, "code_fence", "", Kind::Share, false},
    Row{Lens::Empty, "empty", "", Kind::Share, false},
    Row{Lens::Latin, "script", "latin", Kind::Share, false},
    Row{Lens::Cyrillic, "script", "cyrillic", Kind::Share, false},
    Row{Lens::Han, "script", "han", Kind::Share, false},
    Row{Lens::Arabic, "script", "arabic", Kind::Share, false},
    Row{Lens::Devanagari, "script", "devanagari", Kind::Share, false},
    Row{Lens::Kana, "script", "kana", Kind::Share, false},
    Row{Lens::Hangul, "script", "hangul", Kind::Share, false},
    Row{Lens::OtherLetters, "script", "other", Kind::Share, false},
    Row{Lens::Truncated, "truncated", "", Kind::Share, true},
    Row{Lens::Refusal, "refusal", "", Kind::Share, true},
};
static_assert(kRows.size() == kLensCount);

// A figure that fewer units than this (expected on the smaller side) show is rare: how many show it
// is then tested exactly, where a normal approximation of sums would be wrong.
constexpr double kCommon = 25;

stats::RatioSums sums_of(const LensState& state) {
  return {.n = state.units,
          .x = static_cast<double>(state.x),
          .y = static_cast<double>(state.y),
          .xx = static_cast<double>(state.xx),
          .xy = static_cast<double>(state.xy),
          .yy = static_cast<double>(state.yy)};
}

// Logs of the histogram's values, each known within 1 % on both sides alike. Units of value 0 have
// no log; `empty` counts them.
stats::ValueSums logs_of(const LensState& state) {
  stats::ValueSums sums;
  for (const auto& [key, count] : state.bins) {
    const double value = std::log(log_value(key)), weight = static_cast<double>(count);
    sums.n += count;
    sums.sum += weight * value;
    sums.squares += weight * value * value;
  }
  return sums;
}

void test_length(LensShift& shift, const LensState& reference, const LensState& window) {
  const stats::ValueSums a = logs_of(reference), b = logs_of(window);
  const auto test = stats::compare_means(a, b);
  if (!test) return;
  shift.test = "Welch t on logs";
  shift.p = test->p;
  shift.difference = std::expm1(test->difference);
  shift.effect = std::abs(shift.difference);
  shift.reference = std::exp(a.sum / static_cast<double>(a.n));
  shift.window = std::exp(b.sum / static_cast<double>(b.n));
}

// Units whose share is 1, within the 1 % of a bin.
std::int64_t full_units(const LensState& state) {
  const auto found = state.bins.find(log_key(std::uint64_t{1} << kFixedBits));
  return found == state.bins.end() ? 0 : found->second;
}

// Units that are not as nearly all are: those above 0, or those below 1 where that is fewer.
// Decided on both sides together, which biases no test of their difference.
stats::TwoShares minority(const LensState& reference, const LensState& window, bool is_share) {
  const stats::TwoShares some{.a = reference.units - reference.zeros,
                              .n = reference.units,
                              .b = window.units - window.zeros,
                              .m = window.units};
  if (!is_share) return some;
  const stats::TwoShares partial{.a = reference.units - full_units(reference),
                                 .n = reference.units,
                                 .b = window.units - full_units(window),
                                 .m = window.units};
  return partial.a + partial.b < some.a + some.b ? partial : some;
}

bool counts_records(Lens lens) {
  return lens == Lens::SpecialTokens || lens == Lens::TemplateMarkers || lens == Lens::Empty ||
         lens == Lens::Truncated || lens == Lens::Refusal;
}

void test_ratio(LensShift& shift, const Row& row, const LensState& reference,
                const LensState& window) {
  const auto test = stats::compare_ratios_pooled(sums_of(reference), sums_of(window));
  if (!test) return;
  shift.reference = static_cast<double>(reference.x) / static_cast<double>(reference.y);
  shift.window = static_cast<double>(window.x) / static_cast<double>(window.y);
  shift.difference = test->difference;
  if (row.kind == Kind::Relative && *shift.reference > 0) shift.difference /= *shift.reference;
  shift.effect = std::abs(shift.difference);
  const stats::TwoShares few = minority(reference, window, !counts_records(row.lens));
  const double expected = static_cast<double>(few.a + few.b) *
                          static_cast<double>(std::min(few.n, few.m)) /
                          static_cast<double>(few.n + few.m);
  if (expected < kCommon) {
    shift.test = "Fisher mid-p";
    shift.p = stats::fisher_mid_p(few);
  } else {
    shift.test = "score z";
    shift.p = test->p;
  }
}

// "none on either side": there is nothing to ask, which costs the other lenses nothing.
bool is_constant(LensShift& shift, const LensState& reference, const LensState& window) {
  if (reference.x == 0 && window.x == 0) {
    shift.reason = "none on either side";
  } else if (reference.x == reference.y && window.x == window.y && reference.xx == reference.yy &&
             window.xx == window.yy) {
    shift.reason = "all of it on both sides";
  } else {
    return false;
  }
  return true;
}

std::string detail_of(const LensShift& shift, Kind kind) {
  if (!shift.p) return "";
  if (kind == Kind::Length) {
    return fmt::format("geometric mean {:.4g}, was {:.4g}", *shift.window, *shift.reference);
  }
  return fmt::format("{:.4g}, was {:.4g}", *shift.window, *shift.reference);
}

}  // namespace

bool lacks_units(LensShift& shift, std::int64_t min_units) {
  if (shift.smaller_n() >= min_units) return false;
  shift.one_sided = std::max(shift.reference_n, shift.window_n) >= min_units;
  shift.reason = fmt::format("fewer than {} units that it applies to on {}", min_units,
                             shift.one_sided ? "one side" : "either side");
  return true;
}

std::vector<LensShift> test_lenses(const Counts& reference, const Counts& window, Side side,
                                   const CompareOptions& options) {
  std::vector<LensShift> shifts;
  for (const Row& row : kRows) {
    if (row.outputs_only && side != Side::Output) continue;
    const LensState& a = reference.lens(row.lens);
    const LensState& b = window.lens(row.lens);
    LensShift shift{.id = row.id, .subject = row.subject};
    shift.reference_n = row.kind == Kind::Length ? a.units - a.zeros : a.units;
    shift.window_n = row.kind == Kind::Length ? b.units - b.zeros : b.units;
    if (!lacks_units(shift, options.min_units) && !is_constant(shift, a, b)) {
      if (row.kind == Kind::Length) {
        test_length(shift, a, b);
      } else {
        test_ratio(shift, row, a, b);
      }
      shift.detail = detail_of(shift, row.kind);
    }
    shifts.push_back(std::move(shift));
  }
  return shifts;
}

}  // namespace loraproof::drift
