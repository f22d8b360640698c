// SPDX-License-Identifier: Apache-2.0
// Divergences between distributions: pure functions on spans, no file, no tensor.
#pragma once

#include <span>

namespace loraproof::stats {

/// KL(p || q) in nats over the bins of p's top k and one bin for all the rest: a lower bound of the
/// KL over the whole vocabulary (merging bins never raises a divergence). `p` and `q` are
/// log-probabilities at the same k ids, the tails the logs of the mass outside of them (-inf:
/// none). NaN in, NaN out; +inf where q has no mass and p does; never negative. Sizes must be
/// equal.
[[nodiscard]] double kl_top_k(std::span<const float> p, float p_tail, std::span<const float> q,
                              float q_tail);

}  // namespace loraproof::stats
