// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/document_frequency_scan.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "loraproof/core/error.h"
#include "loraproof/stats/count_tails.h"
#include "loraproof/stats/multiple_testing.h"

namespace loraproof::stats {
namespace {

// The two sides of the comparison.
struct Sides {
  std::span<const std::int64_t> reference;
  std::int64_t reference_prompts;
  std::span<const std::int64_t> window;
  std::int64_t window_prompts;

  [[nodiscard]] TwoShares shares(std::size_t token) const {
    return {reference[token], reference_prompts, window[token], window_prompts};
  }
};

double share(std::int64_t hits, std::int64_t prompts) {
  return static_cast<double>(hits) / static_cast<double>(prompts);
}

double difference(const TwoShares& shares) {
  return share(shares.b, shares.m) - share(shares.a, shares.n);
}

struct TestedToken {
  double p;
  std::uint32_t token;
};

std::vector<TestedToken> test_tokens(const Sides& sides, double least_expected) {
  const auto n = static_cast<double>(sides.reference_prompts);
  const auto m = static_cast<double>(sides.window_prompts);
  const double smaller_side = std::min(n, m) / (n + m);
  std::vector<TestedToken> tested;
  for (std::uint32_t token = 0; token < sides.window.size(); ++token) {
    const auto hits = static_cast<double>(sides.reference[token] + sides.window[token]);
    if (hits * smaller_side >= least_expected)
      tested.push_back({fisher_mid_p(sides.shares(token)), token});
  }
  return tested;
}

// Equal p are rare, except where they underflow to 0.
void sort(std::vector<TestedToken>& tested, const Sides& sides) {
  std::ranges::sort(tested, [&](const TestedToken& left, const TestedToken& right) {
    if (left.p != right.p) return left.p < right.p;
    const double size_left = std::abs(difference(sides.shares(left.token)));
    const double size_right = std::abs(difference(sides.shares(right.token)));
    return size_left != size_right ? size_left > size_right : left.token < right.token;
  });
}

TokenShift shift_of(const TestedToken& tested, const Sides& sides) {
  const TwoShares shares = sides.shares(tested.token);
  TokenShift shift;
  shift.token = tested.token;
  shift.reference_share = share(shares.a, shares.n);
  shift.window_share = share(shares.b, shares.m);
  shift.difference = difference(shares);
  shift.standard_error = std::sqrt(
      shift.reference_share * (1 - shift.reference_share) / static_cast<double>(shares.n) +
      shift.window_share * (1 - shift.window_share) / static_cast<double>(shares.m));
  shift.p = tested.p;
  return shift;
}

void correct(DocumentFrequencyScan& scan, double alpha) {
  std::vector<double> p;
  p.reserve(scan.tokens.size());
  for (const TokenShift& each : scan.tokens) p.push_back(each.p);
  const std::vector<double> q = benjamini_hochberg_sorted(p);
  for (std::size_t i = 0; i < q.size(); ++i) {
    scan.tokens[i].q = q[i];
    scan.discoveries += q[i] <= alpha;
  }
}

}  // namespace

DocumentFrequencyScan scan_document_frequencies(std::span<const std::int64_t> reference,
                                                std::int64_t reference_prompts,
                                                std::span<const std::int64_t> window,
                                                std::int64_t window_prompts,
                                                const ScanOptions& options) {
  if (reference.size() != window.size())
    throw internal_error({.message = "two vocabularies of different size"});
  if (window.size() > std::numeric_limits<std::uint32_t>::max())
    throw internal_error({.message = "a vocabulary of more than 2^32 tokens"});
  DocumentFrequencyScan scan;
  if (reference_prompts == 0 || window_prompts == 0) return scan;
  const Sides sides{reference, reference_prompts, window, window_prompts};
  std::vector<TestedToken> tested = test_tokens(sides, options.least_expected);
  sort(tested, sides);
  scan.tokens.reserve(tested.size());
  for (const TestedToken& each : tested) scan.tokens.push_back(shift_of(each, sides));
  correct(scan, options.alpha);
  if (scan.discoveries == 0) return scan;
  const double z = false_coverage_z(options.alpha, static_cast<std::int64_t>(scan.discoveries),
                                    static_cast<std::int64_t>(scan.tokens.size()));
  for (const TokenShift& each : std::span(scan.tokens).first(scan.discoveries))
    scan.changed_share =
        std::max(scan.changed_share, std::abs(each.difference) - z * each.standard_error);
  return scan;
}

}  // namespace loraproof::stats
