// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/document_frequency_scan.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/stats/count_tails.h"
#include "loraproof/stats/multiple_testing.h"

namespace loraproof::stats {
namespace {

TokenShift shift_of(std::size_t token, const TwoShares& shares) {
  const auto n = static_cast<double>(shares.n), m = static_cast<double>(shares.m);
  TokenShift shift;
  shift.token = token;
  shift.reference_share = static_cast<double>(shares.a) / n;
  shift.window_share = static_cast<double>(shares.b) / m;
  shift.difference = shift.window_share - shift.reference_share;
  shift.standard_error = std::sqrt(shift.reference_share * (1 - shift.reference_share) / n +
                                   shift.window_share * (1 - shift.window_share) / m);
  shift.p = fisher_mid_p(shares);
  return shift;
}

// Ascending p without moving whole rows about. Ties are rare, except among p that underflow to 0.
void sort(std::vector<TokenShift>& tokens) {
  using Key = std::pair<double, std::uint32_t>;
  std::vector<Key> keys;
  keys.reserve(tokens.size());
  for (std::uint32_t i = 0; i < tokens.size(); ++i) keys.emplace_back(tokens[i].p, i);
  std::sort(keys.begin(), keys.end(), [&](const Key& left, const Key& right) {
    if (left.first != right.first) return left.first < right.first;
    const double size_left = std::abs(tokens[left.second].difference);
    const double size_right = std::abs(tokens[right.second].difference);
    return size_left != size_right ? size_left > size_right : left.second < right.second;
  });
  std::vector<TokenShift> sorted;
  sorted.reserve(tokens.size());
  for (const Key& key : keys) sorted.push_back(tokens[key.second]);
  tokens = std::move(sorted);
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
  const auto n = static_cast<double>(reference_prompts), m = static_cast<double>(window_prompts);
  const double smaller_side = std::min(n, m) / (n + m);
  const auto testable = [&](std::size_t token) {
    const auto hits = static_cast<double>(reference[token] + window[token]);
    return hits * smaller_side >= options.least_expected;
  };
  std::size_t tested = 0;
  for (std::size_t token = 0; token < window.size(); ++token) tested += testable(token);
  scan.tokens.reserve(tested);
  for (std::size_t token = 0; token < window.size(); ++token) {
    if (!testable(token)) continue;
    scan.tokens.push_back(
        shift_of(token, {reference[token], reference_prompts, window[token], window_prompts}));
  }
  sort(scan.tokens);
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
