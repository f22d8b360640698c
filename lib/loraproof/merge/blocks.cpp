// SPDX-License-Identifier: Apache-2.0
#include "loraproof/merge/blocks.h"

#include <algorithm>

namespace loraproof::merge {
namespace {

constexpr std::int64_t kBlockBytes = std::int64_t{4} << 20;  // of output

// Adds the blocks of rows [begin, end).
void cut(std::vector<Place>& places, const PlannedTensor& tensor, Place place, std::int64_t end) {
  const auto element = static_cast<std::int64_t>(io::size_of(tensor.spec.dtype));
  const std::int64_t row_bytes = std::max<std::int64_t>(rows_of(tensor).length * element, 1);
  const std::int64_t step = std::max<std::int64_t>(kBlockBytes / row_bytes / 4 * 4, 4);
  for (; place.first < end; place.first += step) {
    place.rows = std::min(step, end - place.first);
    places.push_back(place);
  }
}

}  // namespace

Rows rows_of(const PlannedTensor& tensor) {
  const std::int64_t elements = tensor.source->numel();
  if (!tensor.changes.empty()) {
    const std::int64_t length = tensor.changes.front().columns;
    return {elements / length, length};
  }
  if (tensor.spec.shape.size() < 2 || elements == 0) return {1, elements};
  return {tensor.spec.shape.front(), elements / tensor.spec.shape.front()};
}

std::vector<Place> cut_into_blocks(const PlannedFile& file) {
  std::vector<Place> places;
  for (std::size_t index = 0; index < file.tensors.size(); ++index) {
    const PlannedTensor& tensor = file.tensors[index];
    std::int64_t at = 0;
    for (std::size_t i = 0; i < tensor.changes.size(); ++i) {
      const Change& change = tensor.changes[i];
      cut(places, tensor, {.tensor = index, .first = at}, change.first_row);
      at = change.first_row + change.rows;
      cut(places, tensor, {.tensor = index, .change = i, .first = change.first_row}, at);
    }
    cut(places, tensor, {.tensor = index, .first = at}, rows_of(tensor).count);
  }
  return places;
}

std::shared_ptr<const MadeChange> MadeChanges::get(const PlannedTensor& tensor,
                                                   std::size_t change) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<const MadeChange>& made = made_[{&tensor, change}];
  if (made == nullptr)
    made = std::make_shared<MadeChange>(make_change(tensor.changes[change], *tensor.source));
  return made;
}

void MadeChanges::drop_before(const PlannedTensor& tensor, std::size_t change) {
  const std::lock_guard lock(mutex_);
  std::erase_if(made_, [&](const auto& item) {
    return item.first.first < &tensor ||
           (item.first.first == &tensor && item.first.second < change);
  });
}

}  // namespace loraproof::merge
