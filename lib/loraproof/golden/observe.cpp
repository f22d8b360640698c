// SPDX-License-Identifier: Apache-2.0
#include "loraproof/golden/observe.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <utility>

#include "loraproof/golden/laid_rows.h"
#include "loraproof/golden/row_collector.h"

namespace loraproof::golden {

std::vector<Observation> observe(engine::LayerStore& store,
                                 std::span<const ObserveRequest> requests, Progress& progress,
                                 const engine::Packing& packing) {
  const c10::InferenceMode no_autograd;
  std::vector<Laid> laid;
  std::vector<engine::Run> runs;
  laid.reserve(requests.size());  // runs point at the packs
  for (const ObserveRequest& request : requests) {
    laid.push_back(lay_out(request.sequences, store.config().rope, packing, runs.size()));
    for (const engine::Pack& pack : laid.back().packed.packs)
      runs.push_back({.lane = request.lane, .pack = &pack});
  }

  progress.begin("sweep", store.config().num_layers, "layers");
  const std::vector<at::Tensor> hidden = engine::sweep(store, runs, progress);

  std::vector<RowCollector> collectors;
  std::vector<engine::LogitRequest> reads;
  std::int64_t total_rows = 0;
  collectors.reserve(requests.size());
  for (std::size_t r = 0; r < requests.size(); ++r) {
    ReadRows rows = rows_that_are_read(requests[r].sequences, laid[r], hidden);
    total_rows += rows.hidden.size(0);
    collectors.emplace_back(requests[r], next_ids_of(requests[r].sequences),
                            std::move(rows.readers));
    reads.push_back({.lane = requests[r].lane,
                     .hidden = rows.hidden,
                     .visit = [&collectors, r](std::int64_t first, const at::Tensor& logits) {
                       collectors[r].add(first, logits);
                     }});
  }
  progress.begin("logits", total_rows, "positions");
  engine::visit_logits(store, reads, progress);
  progress.end();

  std::vector<Observation> observations;
  for (std::size_t r = 0; r < requests.size(); ++r) {
    observations.push_back(
        std::move(collectors[r]).finish(embeddings_of(requests[r].sequences, laid[r], hidden)));
  }
  return observations;
}

}  // namespace loraproof::golden
