// SPDX-License-Identifier: Apache-2.0
#include "loraproof/merge/estimate.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "loraproof/core/digest.h"
#include "loraproof/merge/low_rank.h"

namespace loraproof::merge {

double seconds_of_computing(const MergePlan& plan, int threads) {
  using Clock = std::chrono::steady_clock;
  const PlannedTensor* sample = nullptr;
  double changed_bytes = 0;
  for (const PlannedFile& file : plan.files) {
    for (const PlannedTensor& tensor : file.tensors) {
      if (tensor.changes.empty()) continue;
      changed_bytes += static_cast<double>(*io::byte_count(tensor.spec.dtype, tensor.spec.shape));
      if (sample == nullptr || tensor.source->numel() > sample->source->numel()) sample = &tensor;
    }
  }
  if (sample == nullptr) return 0;
  const Change& change = sample->changes.front();
  const std::size_t row =
      static_cast<std::size_t>(change.columns) * io::size_of(sample->spec.dtype);
  constexpr std::int64_t kSampleBytes = std::int64_t{1} << 21;
  const std::int64_t fitting = kSampleBytes / static_cast<std::int64_t>(row);
  const std::int64_t rows = std::min(change.rows, std::max<std::int64_t>(4, fitting));
  std::vector<std::byte> out(static_cast<std::size_t>(rows) * row);
  const MadeChange made = make_change(change, *sample->source);
  const WeightMerge weight = made.on(*sample->source, change, sample->spec.dtype);
  (void)merge_rows(weight, change.first_row, rows, out);  // reads the pages in
  auto begin = Clock::now();
  (void)merge_rows(weight, change.first_row, rows, out);
  const double computing = std::chrono::duration<double>(Clock::now() - begin).count();
  begin = Clock::now();
  (void)sha256_of(out);
  const double digest = std::chrono::duration<double>(Clock::now() - begin).count();
  const auto bytes = static_cast<double>(out.size());
  // One thread takes the output's digest and one the base's, beside those that compute.
  const double all = static_cast<double>(plan.output_bytes) * 2 * digest / bytes +
                     changed_bytes * computing / bytes;
  return std::max(all / threads, static_cast<double>(plan.output_bytes) * digest / bytes);
}

}  // namespace loraproof::merge
