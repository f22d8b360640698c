// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/vocabulary_divergence.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "loraproof/core/error.h"
#include "loraproof/stats/count_tails.h"

namespace loraproof::stats {
namespace {

constexpr double kManyExpected = 100;

struct Side {
  double total = 0;
  double fill = 0;        // share given to a token that this side lacks
  double all_shares = 1;  // what the filled shares add up to
  [[nodiscard]] double share(std::int64_t count) const {
    return count == 0 ? fill : static_cast<double>(count) / total;
  }
};

Side side_of(std::span<const std::int64_t> counts, std::size_t tokens) {
  Side side;
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  std::size_t present = 0;
  for (const std::int64_t count : counts) {
    if (count < 0) throw internal_error({.message = "a count below 0"});
    if (count == 0) continue;
    side.total += static_cast<double>(count);
    least = std::min(least, count);
    ++present;
  }
  if (present == 0) return side;
  const double smallest = static_cast<double>(least) / side.total;
  side.fill = smallest <= 1e-4 ? smallest / 1e6 : 1e-4;
  side.all_shares = 1 + side.fill * static_cast<double>(tokens - present);
  return side;
}

// One token's part of PSI, and of KL before the shares are made to add up to 1.
struct Term {
  double psi = 0;
  double kl = 0;
};

Term term(const Side& reference, const Side& window, std::int64_t a, std::int64_t b) {
  const double p = reference.share(a), q = window.share(b), log_ratio = std::log(p / q);
  return {(p - q) * log_ratio, p * log_ratio};
}

// sum p/P ln((p/P) / (q/Q)) from sum p ln(p/q), for p adding up to P and q to Q.
double normalised_kl(double kl, const Side& reference, const Side& window) {
  return kl / reference.all_shares + std::log(window.all_shares / reference.all_shares);
}

// Expectation of term() when `count` tokens fall to the reference with probability `chance` each.
Term expected_term(const Side& reference, const Side& window, std::int64_t count, double chance) {
  const double mean = static_cast<double>(count) * chance;
  if (std::min(mean, static_cast<double>(count) - mean) >= kManyExpected) {
    const double psi = 1 / reference.total + 1 / window.total;
    return {psi, psi / 2};
  }
  const auto middle = std::min(count, static_cast<std::int64_t>(mean));
  const double peak = binomial_probability(count, chance, middle);
  const double odds = chance / (1 - chance);
  Term sum;
  const auto add = [&](std::int64_t a, double probability) {
    const Term each = term(reference, window, a, count - a);
    sum.psi += probability * each.psi;
    sum.kl += probability * each.kl;
  };
  double probability = peak;
  for (std::int64_t a = middle; a <= count && probability > 1e-25; ++a) {
    add(a, probability);
    probability *= odds * static_cast<double>(count - a) / static_cast<double>(a + 1);
  }
  probability = peak;
  for (std::int64_t a = middle; a > 0; --a) {
    probability *= static_cast<double>(a) / (odds * static_cast<double>(count - a + 1));
    if (probability <= 1e-25) break;
    add(a - 1, probability);
  }
  return sum;
}

}  // namespace

std::optional<VocabularyDivergence> vocabulary_divergence(std::span<const std::int64_t> reference,
                                                          std::span<const std::int64_t> window) {
  if (reference.size() != window.size())
    throw internal_error({.message = "two vocabularies of different size"});
  std::map<std::int64_t, std::size_t> tokens_of_count;
  VocabularyDivergence result;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const std::int64_t both = reference[i] + window[i];
    if (both == 0) continue;
    ++result.tokens;
    ++tokens_of_count[both];
  }
  const Side p = side_of(reference, result.tokens), q = side_of(window, result.tokens);
  if (p.total == 0 || q.total == 0) return std::nullopt;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    if (reference[i] + window[i] == 0) continue;
    const Term each = term(p, q, reference[i], window[i]);
    result.psi += each.psi;
    result.kl += each.kl;
  }
  result.kl = normalised_kl(result.kl, p, q);
  const double chance = p.total / (p.total + q.total);
  for (const auto& [count, tokens] : tokens_of_count) {
    const Term each = expected_term(p, q, count, chance);
    result.no_drift_psi += static_cast<double>(tokens) * each.psi;
    result.no_drift_kl += static_cast<double>(tokens) * each.kl;
  }
  result.no_drift_kl = normalised_kl(result.no_drift_kl, p, q);
  return result;
}

std::optional<double> miller_madow_entropy(std::span<const std::int64_t> counts) {
  double total = 0, present = 0, weighted_logs = 0;
  for (const std::int64_t count : counts) {
    if (count < 0) throw internal_error({.message = "a count below 0"});
    total += static_cast<double>(count);
    present += count > 0;
  }
  if (total == 0) return std::nullopt;
  for (const std::int64_t count : counts) {
    const double share = static_cast<double>(count) / total;
    if (count > 0) weighted_logs -= share * std::log(share);
  }
  return weighted_logs + (present - 1) / (2 * total);
}

}  // namespace loraproof::stats
