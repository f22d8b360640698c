// SPDX-License-Identifier: Apache-2.0
// Sequences in packs, and the way back from computed rows to those of the sequences. For this
// module only.
#pragma once

#include <ATen/core/Tensor.h>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "loraproof/engine/pack.h"
#include "loraproof/golden/reference.h"

namespace loraproof::golden {

/// Where sequences lie: their packs, whose runs begin at `first_run` of a sweep.
struct Laid {
  engine::PackedSequences packed;
  std::size_t first_run = 0;
};
[[nodiscard]] Laid lay_out(std::span<const Sequence> sequences, const nn::RopeConfig& rope,
                           const engine::Packing& packing, std::size_t first_run);

/// `hidden`: what the sweep returned, per run.
[[nodiscard]] Embeddings embeddings_of(std::span<const Sequence> sequences, const Laid& laid,
                                       const std::vector<at::Tensor>& hidden);

/// The tokens that the rows of all sequences predict.
[[nodiscard]] std::vector<std::int32_t> next_ids_of(std::span<const Sequence> sequences);

/// The computed rows that somebody reads, and who reads them.
struct ReadRows {
  at::Tensor hidden;                               ///< [M, D]
  std::vector<std::vector<std::int64_t>> readers;  ///< per computed row: rows of the sequences
};
[[nodiscard]] ReadRows rows_that_are_read(std::span<const Sequence> sequences, const Laid& laid,
                                          const std::vector<at::Tensor>& hidden);

}  // namespace loraproof::golden
