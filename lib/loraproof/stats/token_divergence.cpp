// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/token_divergence.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace loraproof::stats {
namespace {

// Linear between neighbours, as llama.cpp's.
double percentile(std::span<const double> sorted, double fraction) {
  const double place = fraction * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const double part = place - static_cast<double>(below);
  return (1 - part) * sorted[below] + part * sorted[std::min(below + 1, sorted.size() - 1)];
}

Percentiles percentiles(std::vector<double> values) {
  std::ranges::sort(values);
  const auto at = [&](double fraction) { return percentile(values, fraction); };
  return {.minimum = values.front(),
          .p1 = at(0.01),
          .p5 = at(0.05),
          .p10 = at(0.1),
          .median = at(0.5),
          .p90 = at(0.9),
          .p95 = at(0.95),
          .p99 = at(0.99),
          .p999 = at(0.999),
          .maximum = values.back()};
}

double correlation(std::span<const double> a, std::span<const double> b) {
  const auto n = static_cast<double>(a.size());
  double mean_a = 0, mean_b = 0, aa = 0, bb = 0, ab = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    mean_a += a[i] / n;
    mean_b += b[i] / n;
  }
  for (std::size_t i = 0; i < a.size(); ++i) {
    aa += (a[i] - mean_a) * (a[i] - mean_a);
    bb += (b[i] - mean_b) * (b[i] - mean_b);
    ab += (a[i] - mean_a) * (b[i] - mean_b);
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 1;
}

// Sum of weight * (logit in base - in other), in lanes that compilers turn into vectors.
double weighted_difference(const LogitRow& base, const LogitRow& other) {
  constexpr std::size_t kLanes = 8;
  double lanes[kLanes]{};
  const std::size_t size = base.logits.size();
  const auto term = [&](std::size_t i) {
    const double difference =
        static_cast<double>(base.logits[i]) - static_cast<double>(other.logits[i]);
    // Without weight there may be -inf on both sides.
    return base.weights[i] == 0 ? 0.0 : static_cast<double>(base.weights[i]) * difference;
  };
  std::size_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += term(i + lane);
  }
  double sum = 0;
  for (; i < size; ++i) sum += term(i);
  for (const double lane : lanes) sum += lane;
  return sum;
}

}  // namespace

double TokenDivergence::delta_p() const { return std::exp(-nll) - std::exp(-nll_base); }

TokenDivergence token_divergence(const LogitRow& base, const LogitRow& other, std::int32_t next) {
  // log p - log q of a token is (its logit in base - in other) - shift.
  const double shift =
      (static_cast<double>(base.largest) + base.log_sum) - (other.largest + other.log_sum);
  const double sum = weighted_difference(base, other);
  const double kld = sum / std::exp(base.log_sum) - shift;
  const auto nll = [next](const LogitRow& row) {
    const auto at = static_cast<std::size_t>(next);
    return static_cast<double>(row.largest) + row.log_sum - static_cast<double>(row.logits[at]);
  };
  return {.kld = kld < 0 ? 0 : kld,  // NaN stays
          .nll = nll(other),
          .nll_base = nll(base),
          .same_top = base.best == other.best};
}

Mean clustered_mean(std::span<const double> values, std::span<const std::int64_t> prompt) {
  const auto n = static_cast<double>(values.size());
  Mean mean;
  for (const double value : values) mean.value += value;
  mean.value /= std::max(n, 1.0);
  double squares = 0, between = 0, prompts = 0;
  for (std::size_t begin = 0; begin < values.size();) {
    double sum = 0;
    std::size_t end = begin;
    for (; end < values.size() && prompt[end] == prompt[begin]; ++end) {
      const double off = values[end] - mean.value;
      squares += off * off;
      sum += off;
    }
    between += sum * sum;
    ++prompts;
    begin = end;
  }
  mean.token_error = n > 1 ? std::sqrt(squares / n / (n - 1)) : 0;
  mean.error = prompts > 1 ? std::sqrt(between * prompts / (prompts - 1)) / n
                           : std::numeric_limits<double>::quiet_NaN();
  return mean;
}

double DivergenceSummary::ppl_ratio() const { return std::exp(log_ratio.value); }

DivergenceSummary summarise(std::span<const TokenDivergence> tokens,
                            std::span<const std::int64_t> prompt) {
  DivergenceSummary summary{.tokens = std::ssize(tokens)};
  if (tokens.empty()) return summary;
  const auto column = [&](const std::function<double(const TokenDivergence&)>& of) {
    std::vector<double> values;
    values.reserve(tokens.size());
    for (const TokenDivergence& token : tokens) values.push_back(of(token));
    return values;
  };
  for (std::size_t i = 0; i < prompt.size(); ++i)
    summary.prompts += i == 0 || prompt[i] != prompt[i - 1] ? 1 : 0;
  const auto nll = column([](const auto& t) { return t.nll; });
  const auto nll_base = column([](const auto& t) { return t.nll_base; });
  summary.ppl = std::exp(clustered_mean(nll, prompt).value);
  summary.ppl_base = std::exp(clustered_mean(nll_base, prompt).value);
  summary.correlation = correlation(nll, nll_base);
  summary.log_ratio =
      clustered_mean(column([](const auto& t) { return t.nll - t.nll_base; }), prompt);
  const auto kld = column([](const auto& t) { return t.kld; });
  summary.kld = clustered_mean(kld, prompt);
  summary.kld_percentiles = percentiles(kld);
  const auto delta_p = column([](const auto& t) { return t.delta_p(); });
  summary.delta_p = clustered_mean(delta_p, prompt);
  summary.delta_p_percentiles = percentiles(delta_p);
  for (const double value : delta_p)
    summary.rms_delta_p += value * value / static_cast<double>(delta_p.size());
  summary.rms_delta_p = std::sqrt(summary.rms_delta_p);
  summary.same_top =
      clustered_mean(column([](const auto& t) { return t.same_top ? 1.0 : 0.0; }), prompt);
  return summary;
}

}  // namespace loraproof::stats
