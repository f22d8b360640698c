// SPDX-License-Identifier: Apache-2.0
#include "loraproof/golden/spread.h"

#include <algorithm>
#include <functional>
#include <vector>

namespace loraproof::golden {
namespace {

// Bootstrap of the mean of what `value` gives for each prompt that has it.
Spread mean_spread(const GoldenDiff& diff, const SpreadOptions& options,
                   const std::function<std::optional<double>(const PromptDiff&)>& value) {
  std::vector<double> values;
  for (const PromptDiff& prompt : diff.prompts) {
    if (const auto each = value(prompt)) values.push_back(*each);
  }
  if (values.empty()) return {};
  const stats::Bootstrap bootstrap = stats::bootstrap_mean(values, options.interval);
  return {.interval = bootstrap.interval,
          .smallest_effect =
              stats::smallest_mean(bootstrap.standard_error, options.alpha, options.power)};
}

// Tokens of one prompt go together when they are resampled. Where no token disagrees there is
// nothing to resample: the interval is then the exact one, as if tokens failed independently.
Spread token_spread(const GoldenDiff& diff, const SpreadOptions& options) {
  std::vector<double> agreeing, decided;
  for (const PromptDiff& prompt : diff.prompts) {
    const std::int64_t n = prompt.answer_tokens - prompt.ties;
    agreeing.push_back(static_cast<double>(n - prompt.disagreements));
    decided.push_back(static_cast<double>(n));
  }
  const std::int64_t n = diff.answer_tokens - diff.ties;
  if (n == 0) return {};
  Spread spread = share_spread(n - diff.disagreements, n, options);
  if (diff.disagreements == 0) return spread;
  const stats::Bootstrap bootstrap = stats::bootstrap_ratio(agreeing, decided, options.interval);
  spread.interval = bootstrap.interval;
  spread.smallest_effect =
      std::max(*spread.smallest_effect,
               stats::smallest_mean(bootstrap.standard_error, options.alpha, options.power));
  return spread;
}

std::optional<double> expected_delta(const PromptDiff& prompt) {
  if (!prompt.expected_nll || !prompt.expected_nll_reference) return std::nullopt;
  return *prompt.expected_nll - *prompt.expected_nll_reference;
}

}  // namespace

Spread share_spread(std::int64_t successes, std::int64_t n, const SpreadOptions& options) {
  if (n == 0) return {};
  return {.interval = stats::exact_share(successes, n, options.interval.level),
          .smallest_effect = stats::smallest_share(n, options.power)};
}

GoldenSpread spread_of(const GoldenDiff& diff, const SpreadOptions& options) {
  const auto mean = [&](auto value) { return mean_spread(diff, options, value); };
  const auto nll_delta = [](const PromptDiff& prompt) {
    return prompt.kl_answer ? std::optional(prompt.nll - prompt.nll_reference) : std::nullopt;
  };
  return {
      .text = share_spread(diff.equal_texts, diff.equal_texts + diff.diverged_texts, options),
      .token_agreement = token_spread(diff, options),
      .nll = mean(nll_delta),
      .kl_prompt = mean([](const PromptDiff& prompt) { return prompt.kl_prompt; }),
      .kl_answer = mean([](const PromptDiff& prompt) { return prompt.kl_answer; }),
      .cosine = mean([](const PromptDiff& prompt) { return std::optional(prompt.cosine_last); }),
      .cosine_mean =
          mean([](const PromptDiff& prompt) { return std::optional(prompt.cosine_mean); }),
      .cosine_answer =
          mean([](const PromptDiff& prompt) { return std::optional(prompt.cosine_answer); }),
      .l2 = mean([](const PromptDiff& prompt) { return std::optional(prompt.l2_last); }),
      .expected_nll = mean(expected_delta)};
}

}  // namespace loraproof::golden
