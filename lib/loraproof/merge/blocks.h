// SPDX-License-Identifier: Apache-2.0
// How writing a merge and reading it back cut a file: into runs of whole rows, each in one change
// of its tensor or in none. For this module only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "loraproof/merge/change.h"
#include "loraproof/merge/plan.h"

namespace loraproof::merge {

inline constexpr std::size_t kUnchanged = static_cast<std::size_t>(-1);

struct Place {
  std::size_t tensor = 0;
  std::size_t change = kUnchanged;
  std::int64_t first = 0;
  std::int64_t rows = 0;
};

/// A tensor as rows of consecutive elements: those that its changes speak of, if it has any.
struct Rows {
  std::int64_t count = 0;
  std::int64_t length = 0;
};
[[nodiscard]] Rows rows_of(const PlannedTensor& tensor);

/// All rows of all tensors, in the order of their bytes, about 4 MiB of output each.
[[nodiscard]] std::vector<Place> cut_into_blocks(const PlannedFile& file);

/// Makes the factors of a change when its first block comes up, and drops them after the last.
/// Thread-safe.
class MadeChanges {
 public:
  [[nodiscard]] std::shared_ptr<const MadeChange> get(const PlannedTensor& tensor,
                                                      std::size_t change);
  /// Blocks before those of this change have been taken.
  void drop_before(const PlannedTensor& tensor, std::size_t change);

 private:
  std::mutex mutex_;
  std::map<std::pair<const PlannedTensor*, std::size_t>, std::shared_ptr<const MadeChange>> made_;
};

}  // namespace loraproof::merge
