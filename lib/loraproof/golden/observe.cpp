// SPDX-License-Identifier: Apache-2.0
#include "loraproof/golden/observe.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <utility>

#include "loraproof/golden/row_collector.h"

namespace loraproof::golden {
namespace {

// Where one request lies: its packs, and its runs from `first_run` on.
struct Laid {
  engine::PackedSequences packed;
  std::size_t first_run = 0;
};

at::Tensor index_of(const std::vector<std::int64_t>& rows, const at::Device& device) {
  return at::tensor(rows, at::kLong).to(device);
}

Embeddings embeddings_of(const ObserveRequest& request, const Laid& laid,
                         const std::vector<at::Tensor>& hidden) {
  std::vector<at::Tensor> last, mean, answer;
  for (std::size_t i = 0; i < request.sequences.size(); ++i) {
    const Sequence& sequence = request.sequences[i];
    const auto prompt = static_cast<std::int64_t>(sequence.prompt_ids.size());
    const auto answered = static_cast<std::int64_t>(sequence.answer_ids.size());
    const engine::Placement& place = laid.packed.placements[i];
    const at::Tensor& states = hidden[laid.first_run + place.pack];
    const at::Tensor rows =
        states.index_select(0, index_of(place.rows, states.device())).to(at::kCPU, at::kFloat);
    last.push_back(rows.select(0, prompt - 1));
    mean.push_back(rows.narrow(0, 0, prompt).mean(0));
    answer.push_back(answered == 0 ? at::zeros_like(last.back())
                                   : rows.narrow(0, prompt, answered).mean(0));
  }
  return {at::stack(last), at::stack(mean), at::stack(answer)};
}

std::vector<std::int32_t> next_ids_of(std::span<const Sequence> sequences) {
  std::vector<std::int32_t> ids;
  for (const Sequence& sequence : sequences) {
    for (std::int64_t row = 0; row < sequence.rows(); ++row)
      ids.push_back(sequence.next_token(row));
  }
  return ids;
}

// The computed rows of a request that somebody reads, and who reads them.
struct ReadRows {
  at::Tensor hidden;                               // [M, D]
  std::vector<std::vector<std::int64_t>> readers;  // per computed row: rows of the sequences
};

ReadRows rows_that_are_read(const ObserveRequest& request, const Laid& laid,
                            const std::vector<at::Tensor>& hidden) {
  std::vector<std::vector<std::vector<std::int64_t>>> by_pack;
  for (const engine::Pack& pack : laid.packed.packs)
    by_pack.emplace_back(static_cast<std::size_t>(pack.num_tokens()));
  std::int64_t row = 0;
  for (std::size_t i = 0; i < request.sequences.size(); ++i) {
    const engine::Placement& place = laid.packed.placements[i];
    for (std::int64_t t = 0; t < request.sequences[i].rows(); ++t) {
      const std::int64_t computed = place.rows[static_cast<std::size_t>(t)];
      by_pack[place.pack][static_cast<std::size_t>(computed)].push_back(row++);
    }
  }
  ReadRows read;
  std::vector<at::Tensor> parts;
  for (std::size_t pack = 0; pack < by_pack.size(); ++pack) {
    std::vector<std::int64_t> computed;
    for (std::size_t r = 0; r < by_pack[pack].size(); ++r) {
      if (by_pack[pack][r].empty()) continue;
      computed.push_back(static_cast<std::int64_t>(r));
      read.readers.push_back(std::move(by_pack[pack][r]));
    }
    const at::Tensor& states = hidden[laid.first_run + pack];
    parts.push_back(states.index_select(0, index_of(computed, states.device())));
  }
  read.hidden = at::cat(parts);
  return read;
}

}  // namespace

std::vector<Observation> observe(engine::LayerStore& store,
                                 std::span<const ObserveRequest> requests, Progress& progress,
                                 const engine::Packing& packing) {
  const c10::InferenceMode no_autograd;
  std::vector<Laid> laid;
  std::vector<engine::Run> runs;
  laid.reserve(requests.size());  // runs point at the packs
  for (const ObserveRequest& request : requests) {
    std::vector<std::vector<std::int32_t>> tokens;
    for (const Sequence& sequence : request.sequences) tokens.push_back(sequence.tokens());
    laid.push_back({engine::pack_sequences(tokens, store.config().rope, packing), runs.size()});
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
    ReadRows rows = rows_that_are_read(requests[r], laid[r], hidden);
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
        std::move(collectors[r]).finish(embeddings_of(requests[r], laid[r], hidden)));
  }
  return observations;
}

}  // namespace loraproof::golden
