// SPDX-License-Identifier: Apache-2.0
#include "loraproof/engine/decode.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <numeric>
#include <utility>

namespace loraproof::engine {
namespace {

// Sequences that are decoded together: a pack with its cache. `members` are indices of requests.
struct Batch {
  std::vector<std::size_t> members;
  KvCache cache;
};

std::vector<std::int32_t> next_tokens(LayerStore& store, const Lane& lane,
                                      const at::Tensor& hidden) {
  std::vector<std::int32_t> tokens;
  const auto silent = make_silent_progress();
  const LogitRequest request{
      .lane = &lane, .hidden = hidden, .visit = [&](std::int64_t, const at::Tensor& logits) {
        const at::Tensor best = logits.argmax(-1).to(at::kCPU, at::kInt).contiguous();
        tokens.insert(tokens.end(), best.data_ptr<std::int32_t>(),
                      best.data_ptr<std::int32_t>() + best.numel());
      }};
  visit_logits(store, {&request, 1}, *silent);
  return tokens;
}

// The hidden state of each sequence's last token: [S, D].
at::Tensor last_rows(const at::Tensor& hidden, const Pack& pack) {
  std::vector<std::int64_t> rows(pack.num_sequences());
  std::inclusive_scan(pack.lengths.begin(), pack.lengths.end(), rows.begin());
  for (std::int64_t& row : rows) --row;
  const at::Tensor index = at::tensor(rows, at::kLong).to(hidden.device());
  return hidden.index_select(0, index);
}

void keep_sequences(KvCache& cache, const std::vector<std::size_t>& kept) {
  for (nn::LayerKv& layer : cache) {
    nn::LayerKv next;
    for (std::size_t i : kept) {
      next.keys.push_back(std::move(layer.keys[i]));
      next.values.push_back(std::move(layer.values[i]));
    }
    layer = std::move(next);
  }
}

}  // namespace

std::vector<std::vector<std::int32_t>> greedy_decode(LayerStore& store, const Lane& lane,
                                                     std::span<const DecodeRequest> requests,
                                                     std::span<const std::int32_t> stop_ids,
                                                     Progress& progress) {
  const c10::InferenceMode no_autograd;
  const auto silent = make_silent_progress();
  std::vector<std::vector<std::int32_t>> answers(requests.size());

  // Prefill pack by pack (bounded activations); the caches of all packs then decode as one batch.
  Batch batch;
  std::vector<std::int32_t> pending;  // the newest token of each member
  std::int64_t longest = 0;
  for (std::size_t begin = 0; begin < requests.size();) {
    Pack pack;
    KvCache cache;
    std::size_t end = begin;
    while (end < requests.size() &&
           (end == begin ||
            pack.num_tokens() + static_cast<std::int64_t>(requests[end].prefix.size()) <=
                kMaxPackTokens)) {
      pack.add(requests[end].prefix);
      longest = std::max(longest, requests[end].max_new_tokens);
      batch.members.push_back(end++);
    }
    const Run run{.lane = &lane, .pack = &pack, .cache = &cache};
    const std::vector<at::Tensor> hidden = sweep(store, {&run, 1}, *silent);
    const auto tokens = next_tokens(store, lane, last_rows(hidden[0], pack));
    pending.insert(pending.end(), tokens.begin(), tokens.end());
    batch.cache.resize(cache.size());
    for (std::size_t layer = 0; layer < cache.size(); ++layer) {
      std::ranges::move(cache[layer].keys, std::back_inserter(batch.cache[layer].keys));
      std::ranges::move(cache[layer].values, std::back_inserter(batch.cache[layer].values));
    }
    begin = end;
  }

  progress.begin("decode", longest, "tokens");
  while (true) {
    std::vector<std::size_t> kept;
    for (std::size_t i = 0; i < batch.members.size(); ++i) {
      const DecodeRequest& request = requests[batch.members[i]];
      auto& answer = answers[batch.members[i]];
      if (static_cast<std::int64_t>(answer.size()) >= request.max_new_tokens) continue;
      answer.push_back(pending[i]);
      const bool stopped = std::ranges::find(stop_ids, pending[i]) != stop_ids.end();
      if (!stopped && static_cast<std::int64_t>(answer.size()) < request.max_new_tokens)
        kept.push_back(i);
    }
    progress.advance();
    if (kept.empty()) break;
    if (kept.size() < batch.members.size()) {
      keep_sequences(batch.cache, kept);
      std::vector<std::size_t> members;
      for (std::size_t i : kept) members.push_back(batch.members[i]);
      batch.members = std::move(members);
    }
    Pack step;
    for (std::size_t member : batch.members) {
      const auto position =
          static_cast<std::int64_t>(requests[member].prefix.size() + answers[member].size()) - 1;
      step.add({&answers[member].back(), 1}, position);
    }
    const Run run{.lane = &lane, .pack = &step, .cache = &batch.cache};
    pending = next_tokens(store, lane, sweep(store, {&run, 1}, *silent)[0]);
  }
  progress.end();
  return answers;
}

}  // namespace loraproof::engine
