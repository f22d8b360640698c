// SPDX-License-Identifier: Apache-2.0
// Turns blocks of logits into the rows of an Observation. A computed row may be read by several
// rows of the sequences (a shared prefix), each with its own questions.
#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <vector>

#include "loraproof/golden/observe.h"

namespace loraproof::golden {

/// M computed rows, N rows that read them.
class RowCollector {
 public:
  /// `readers[m]` are the rows that read computed row m; `next_ids` the token that each row
  /// predicts.
  RowCollector(const ObserveRequest& request, std::vector<std::int32_t> next_ids,
               std::vector<std::vector<std::int64_t>> readers);

  /// logits [b, V] f32 of the computed rows from `first_row` on.
  void add(std::int64_t first_row, const at::Tensor& logits);
  [[nodiscard]] Observation finish(Embeddings embeddings) &&;

 private:
  void add_on_cpu(std::int64_t first_row, const at::Tensor& logits);
  void add_on_device(std::int64_t first_row, const at::Tensor& logits);

  std::int64_t top_k_;
  at::Tensor reference_ids_;  // [N, k] i32, contiguous, or undefined
  std::vector<std::int32_t> next_ids_;
  std::vector<std::vector<std::int64_t>> readers_;
  Observation found_;
};

}  // namespace loraproof::golden
