// SPDX-License-Identifier: Apache-2.0
// Which tokens appear in more, or fewer, prompts than before: one exact test per token on how many
// prompts hold it. Prompts are independent where tokens of one prompt are not, so the tests hold
// their level however long the prompts are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace loraproof::stats {

struct ScanOptions {
  double alpha = 0.05;  ///< false-discovery rate
  /// A token is tested when the smaller side would hold it in at least this many prompts, were both
  /// sides alike. Decided by the margins alone, which does not bias the tests.
  double least_expected = 2.5;
};

/// One tested token.
struct TokenShift {
  std::size_t token = 0;       ///< index into the spans
  double reference_share = 0;  ///< of the reference prompts that hold it
  double window_share = 0;
  double difference = 0;      ///< window minus reference; its sign is the direction
  double standard_error = 0;  ///< of the difference, unpooled (Wald)
  double p = 1;               ///< fisher_mid_p
  double q = 1;               ///< Benjamini-Hochberg over the tested tokens
};

struct DocumentFrequencyScan {
  /// All tested tokens by ascending p, then by falling |difference|, then by token.
  std::vector<TokenShift> tokens;
  std::size_t discoveries = 0;  ///< the first so many have q <= alpha
  /// With confidence 1 - alpha / 2, at least this share of the prompts changed: the largest false
  /// coverage bound over the discoveries, a lower bound of the total variation between the prompt
  /// populations. 0 without discoveries.
  double changed_share = 0;

  /// Smallest q over all tested tokens, a p-value of "no token moved"; 1 when none was tested.
  [[nodiscard]] double smallest_q() const { return tokens.empty() ? 1 : tokens.front().q; }
};

/// Token t is in reference[t] of `reference_prompts` and in window[t] of `window_prompts`. Spans of
/// equal size, counts within their totals (else an internal Error). A side without prompts tests
/// nothing. Linear in the vocabulary, plus sorting the tested tokens.
[[nodiscard]] DocumentFrequencyScan scan_document_frequencies(
    std::span<const std::int64_t> reference, std::int64_t reference_prompts,
    std::span<const std::int64_t> window, std::int64_t window_prompts,
    const ScanOptions& options = {});

}  // namespace loraproof::stats
