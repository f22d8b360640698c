// SPDX-License-Identifier: Apache-2.0
#include "loraproof/golden/observe.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <deque>
#include <limits>

#include "loraproof/engine/pack.h"

namespace loraproof::golden {
namespace {

// Where the sequences of one request went: which run, and at which row of it they begin.
struct Placement {
  std::size_t run;
  std::int64_t first_row;
};

Embeddings embeddings_of(const ObserveRequest& request, const std::vector<Placement>& placements,
                         const std::vector<at::Tensor>& hidden) {
  std::vector<at::Tensor> last, mean, answer;
  for (std::size_t i = 0; i < request.sequences.size(); ++i) {
    const Sequence& sequence = request.sequences[i];
    const auto prompt = static_cast<std::int64_t>(sequence.prompt_ids.size());
    const auto answered = static_cast<std::int64_t>(sequence.answer_ids.size());
    const at::Tensor rows = hidden[placements[i].run]
                                .narrow(0, placements[i].first_row, prompt + answered)
                                .to(at::kCPU, at::kFloat);
    last.push_back(rows.select(0, prompt - 1));
    mean.push_back(rows.narrow(0, 0, prompt).mean(0));
    answer.push_back(answered == 0 ? at::zeros_like(last.back())
                                   : rows.narrow(0, prompt, answered).mean(0));
  }
  return {at::stack(last), at::stack(mean), at::stack(answer)};
}

// Log of the probability outside of `ids` [b, k], per row [b] f32. Summed over its own entries: 1
// minus the sum of the others would cancel.
at::Tensor mass_outside(const at::Tensor& logprobs, const at::Tensor& ids) {
  const at::Tensor rest = logprobs.scatter(1, ids, -std::numeric_limits<float>::infinity());
  return at::logsumexp(rest, at::IntArrayRef{1}).to(at::kCPU);
}

// Collects, block by block, what the rows of one request say.
struct RowCollector {
  const ObserveRequest* request;
  at::Tensor next_ids;  // [N] i64
  std::vector<at::Tensor> next_logprob, next_gap, best_id, topk_ids, topk_logprobs, tail,
      at_reference, tail_at_reference;

  void add(std::int64_t first_row, const at::Tensor& logits) {
    const std::int64_t count = logits.size(0);
    const at::Tensor logprobs = at::log_softmax(logits, -1);
    const at::Tensor next = next_ids.narrow(0, first_row, count).to(logits.device()).unsqueeze(1);
    const at::Tensor next_logit = logits.gather(1, next).squeeze(1);
    const auto [two_best, two_ids] = logits.topk(2, -1);
    const at::Tensor best = logits.argmax(-1);
    const at::Tensor is_best = next_logit == two_best.select(1, 0);
    const at::Tensor other = at::where(is_best, two_best.select(1, 1), two_best.select(1, 0));
    next_logprob.push_back(logprobs.gather(1, next).squeeze(1).to(at::kCPU));
    next_gap.push_back((next_logit - other).to(at::kCPU));
    best_id.push_back(best.to(at::kCPU, at::kInt));
    if (request->top_k > 0) add_top(logprobs);
    if (request->reference_ids.defined()) {
      const at::Tensor ids =
          request->reference_ids.narrow(0, first_row, count).to(logits.device(), at::kLong);
      at_reference.push_back(logprobs.gather(1, ids).to(at::kCPU));
      tail_at_reference.push_back(mass_outside(logprobs, ids));
    }
  }

  void add_top(const at::Tensor& logprobs) {
    const auto [values, ids] = logprobs.topk(request->top_k, -1);
    tail.push_back(mass_outside(logprobs, ids));
    topk_ids.push_back(ids.to(at::kCPU, at::kInt));
    topk_logprobs.push_back(values.to(at::kCPU));
  }

  [[nodiscard]] Observation finish(Embeddings embeddings) const {
    const auto join = [](const std::vector<at::Tensor>& parts) {
      return parts.empty() ? at::Tensor() : at::cat(parts);
    };
    return {.embeddings = std::move(embeddings),
            .next_logprob = join(next_logprob),
            .next_gap = join(next_gap),
            .best_id = join(best_id),
            .top = {join(topk_ids), join(topk_logprobs), join(tail)},
            .at_reference = join(at_reference),
            .tail_at_reference = join(tail_at_reference)};
  }
};

at::Tensor next_ids_of(std::span<const Sequence> sequences) {
  std::vector<std::int64_t> ids;
  for (const Sequence& sequence : sequences) {
    for (std::int64_t row = 0; row < sequence.rows(); ++row)
      ids.push_back(sequence.next_token(row));
  }
  return at::tensor(ids, at::kLong);
}

}  // namespace

std::vector<Observation> observe(engine::LayerStore& store,
                                 std::span<const ObserveRequest> requests, Progress& progress,
                                 const engine::Packing& packing) {
  const c10::InferenceMode no_autograd;
  std::deque<engine::Pack> packs;  // stable addresses for the runs
  std::vector<engine::Run> runs;
  std::vector<std::vector<Placement>> placements(requests.size());
  for (std::size_t r = 0; r < requests.size(); ++r) {
    std::vector<std::vector<std::int32_t>> tokens;
    for (const Sequence& sequence : requests[r].sequences) tokens.push_back(sequence.tokens());
    for (engine::Pack& pack : engine::pack_sequences(tokens, packing.max_tokens)) {
      std::int64_t row = 0;
      for (std::int64_t length : pack.lengths) {
        placements[r].push_back({runs.size(), row});
        row += length;
      }
      packs.push_back(std::move(pack));
      runs.push_back({.lane = requests[r].lane, .pack = &packs.back()});
    }
  }

  progress.begin("sweep", store.config().num_layers, "layers");
  const std::vector<at::Tensor> hidden = engine::sweep(store, runs, progress);

  std::vector<RowCollector> collectors(requests.size());
  std::vector<engine::LogitRequest> reads;
  std::int64_t total_rows = 0;
  for (std::size_t r = 0; r < requests.size(); ++r) {
    collectors[r] = {.request = &requests[r], .next_ids = next_ids_of(requests[r].sequences)};
    std::vector<at::Tensor> rows;
    for (std::size_t i = 0; i < requests[r].sequences.size(); ++i) {
      const Placement& place = placements[r][i];
      rows.push_back(hidden[place.run].narrow(0, place.first_row, requests[r].sequences[i].rows()));
    }
    reads.push_back({.lane = requests[r].lane,
                     .hidden = at::cat(rows),
                     .visit = [&collectors, r](std::int64_t first, const at::Tensor& logits) {
                       collectors[r].add(first, logits);
                     }});
    total_rows += reads.back().hidden.size(0);
  }
  progress.begin("logits", total_rows, "positions");
  engine::visit_logits(store, reads, progress);
  progress.end();

  std::vector<Observation> observations;
  for (std::size_t r = 0; r < requests.size(); ++r) {
    observations.push_back(collectors[r].finish(embeddings_of(requests[r], placements[r], hidden)));
  }
  return observations;
}

}  // namespace loraproof::golden
