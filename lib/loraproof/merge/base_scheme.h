// SPDX-License-Identifier: Apache-2.0
// A base as a quantised training saw it: dq(Q(W)) in place of W. For this module only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "loraproof/io/tensor_view.h"
#include "loraproof/merge/plan.h"
#include "loraproof/quant/scheme.h"

namespace loraproof::merge {

/// Dequantised rows of the planned tensors, in their sources' types. Thread-safe.
class DequantisedBase {
 public:
  /// Rows [first, first + count) of a tensor with a base scheme.
  [[nodiscard]] std::vector<std::byte> rows(const PlannedTensor& tensor, std::int64_t first,
                                            std::int64_t count);
  /// Tensors before this one are done with.
  void drop_before(const PlannedTensor& tensor);

 private:
  [[nodiscard]] std::shared_ptr<const quant::Quantiser> quantiser_of(const PlannedTensor& tensor);

  std::mutex mutex_;
  std::map<const PlannedTensor*, std::shared_ptr<const quant::Quantiser>> quantisers_;
};

}  // namespace loraproof::merge
