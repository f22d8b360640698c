// SPDX-License-Identifier: Apache-2.0
// What another precision does to next-token distributions: the statistics of llama.cpp's
// `--kl-divergence` (tools/perplexity/perplexity.cpp), same names and definitions, in f64, with
// standard errors that know that the tokens of one prompt go together. Pure functions on spans.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "loraproof/stats/logit_row.h"

namespace loraproof::stats {

/// One position: `base` is the reference, the other what is judged.
struct TokenDivergence {
  double kld = 0;                ///< KL(base || other) over the whole vocabulary, nats; at least 0
  double nll = 0, nll_base = 0;  ///< -log p of the token that follows
  bool same_top = false;         ///< both prefer the same token

  /// Difference of the probabilities of the token that follows.
  [[nodiscard]] double delta_p() const;
};

/// Two rows of logits over one vocabulary; `next`: the token that follows.
[[nodiscard]] TokenDivergence token_divergence(const LogitRow& base, const LogitRow& other,
                                               std::int32_t next);

/// A mean over tokens.
struct Mean {
  double value = 0;
  /// As llama.cpp has it, of tokens as if they were independent: too small.
  double token_error = 0;
  /// Of prompts as the units (a ratio estimator's linearised variance, Cochran 1977, 6.8); NaN with
  /// one prompt.
  double error = 0;
};

/// `prompt[i]` says which prompt value i belongs to; values of a prompt stand together.
[[nodiscard]] Mean clustered_mean(std::span<const double> values,
                                  std::span<const std::int64_t> prompt);

struct Percentiles {
  double minimum = 0, p1 = 0, p5 = 0, p10 = 0, median = 0, p90 = 0, p95 = 0, p99 = 0, p999 = 0,
         maximum = 0;
};

struct DivergenceSummary {
  std::int64_t tokens = 0;
  std::int64_t prompts = 0;
  double ppl = 0, ppl_base = 0;
  double correlation = 0;  ///< Cor(ln(PPL(Q)), ln(PPL(base))): of the tokens' NLL
  Mean log_ratio;          ///< ln(PPL(Q)/PPL(base))
  Mean kld;
  Percentiles kld_percentiles;
  Mean delta_p;
  Percentiles delta_p_percentiles;
  double rms_delta_p = 0;
  Mean same_top;

  [[nodiscard]] double ppl_ratio() const;
};

/// `prompt[i]` says which prompt token i belongs to; tokens of a prompt stand together. All zero
/// for no tokens. NaN in, NaN out.
[[nodiscard]] DivergenceSummary summarise(std::span<const TokenDivergence> tokens,
                                          std::span<const std::int64_t> prompt);

}  // namespace loraproof::stats
