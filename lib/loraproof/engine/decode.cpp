// SPDX-License-Identifier: Apache-2.0
#include "loraproof/engine/decode.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <utility>

namespace loraproof::engine {
namespace {

// Sequences that are decoded together: `members` are indices of requests, `pending` the newest
// token of each.
struct Batch {
  std::vector<std::size_t> members;
  std::vector<std::int32_t> pending;
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

at::Tensor index_of(const std::vector<std::int64_t>& rows, const at::Device& device) {
  return at::tensor(rows, at::kLong).to(device);
}

// Caches with room for every request's tokens: prefix and answer.
KvCache make_cache(const LayerStore& store, std::span<const DecodeRequest> requests) {
  nn::LayerKv layout;
  std::int64_t room = 0;
  for (const DecodeRequest& request : requests) {
    layout.begins.push_back(room);
    layout.used.push_back(static_cast<std::int64_t>(request.prefix.size()));
    room += layout.used.back() + request.max_new_tokens;
  }
  const model::DecoderConfig& config = store.config();
  const auto options = at::TensorOptions(store.compute()).device(store.device());
  KvCache cache(static_cast<std::size_t>(config.num_layers), layout);
  for (nn::LayerKv& layer : cache) {
    layer.keys = at::empty({config.num_kv_heads, room, config.head_dim}, options);
    layer.values = at::empty({config.num_kv_heads, room, config.head_dim}, options);
  }
  return cache;
}

// Takes the pack's keys and values over into the caches of the members that lie in it.
void fill_cache(KvCache& cache, const std::vector<nn::PackKv>& kept, std::size_t pack,
                std::span<const Placement> placements) {
  std::vector<std::int64_t> from, to;
  for (std::size_t i = 0; i < placements.size(); ++i) {
    if (placements[i].pack != pack) continue;
    for (std::size_t t = 0; t < placements[i].rows.size(); ++t) {
      from.push_back(placements[i].rows[t]);
      to.push_back(cache.front().begins[i] + static_cast<std::int64_t>(t));
    }
  }
  const at::Device device = cache.front().keys.device();
  const at::Tensor source = index_of(from, device), target = index_of(to, device);
  for (std::size_t layer = 0; layer < cache.size(); ++layer) {
    const auto heads_first = [&](const at::Tensor& x) {
      return x.index_select(0, source).transpose(0, 1);
    };
    cache[layer].keys.index_copy_(1, target, heads_first(kept[layer].keys));
    cache[layer].values.index_copy_(1, target, heads_first(kept[layer].values));
  }
}

// Runs the prefixes, pack by pack (bounded activations), into the caches of one batch.
Batch prefill(LayerStore& store, const Lane& lane, std::span<const DecodeRequest> requests) {
  std::vector<std::vector<std::int32_t>> prefixes;
  for (const DecodeRequest& request : requests) prefixes.push_back(request.prefix);
  const PackedSequences packed = pack_sequences(prefixes, store.config().rope);
  const auto silent = make_silent_progress();
  Batch batch{.cache = make_cache(store, requests)};
  batch.pending.resize(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) batch.members.push_back(i);
  for (std::size_t pack = 0; pack < packed.packs.size(); ++pack) {
    std::vector<nn::PackKv> kept;
    const Run run{.lane = &lane, .pack = &packed.packs[pack], .kept = &kept};
    const at::Tensor hidden = sweep(store, {&run, 1}, *silent)[0];
    fill_cache(batch.cache, kept, pack, packed.placements);
    std::vector<std::int64_t> last;
    std::vector<std::size_t> members;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (packed.placements[i].pack != pack) continue;
      last.push_back(packed.placements[i].rows.back());
      members.push_back(i);
    }
    const auto tokens =
        next_tokens(store, lane, hidden.index_select(0, index_of(last, hidden.device())));
    for (std::size_t i = 0; i < members.size(); ++i) batch.pending[members[i]] = tokens[i];
  }
  return batch;
}

// Drops all members but `kept`; their rows in the caches lie idle.
void keep_members(Batch& batch, const std::vector<std::size_t>& kept) {
  const auto pick = [&](auto& values) {
    std::remove_reference_t<decltype(values)> picked;
    for (std::size_t i : kept) picked.push_back(values[i]);
    values = std::move(picked);
  };
  pick(batch.members);
  for (nn::LayerKv& layer : batch.cache) {
    pick(layer.begins);
    pick(layer.used);
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
  if (requests.empty()) return answers;
  Batch batch = prefill(store, lane, requests);
  std::int64_t longest = 0;
  for (const DecodeRequest& request : requests) longest = std::max(longest, request.max_new_tokens);

  progress.begin("decode", longest, "tokens");
  while (true) {
    std::vector<std::size_t> kept;
    for (std::size_t i = 0; i < batch.members.size(); ++i) {
      const DecodeRequest& request = requests[batch.members[i]];
      auto& answer = answers[batch.members[i]];
      if (static_cast<std::int64_t>(answer.size()) >= request.max_new_tokens) continue;
      answer.push_back(batch.pending[i]);
      const bool stopped = std::ranges::find(stop_ids, batch.pending[i]) != stop_ids.end();
      if (!stopped && static_cast<std::int64_t>(answer.size()) < request.max_new_tokens)
        kept.push_back(i);
    }
    progress.advance();
    if (kept.empty()) break;
    if (kept.size() < batch.members.size()) keep_members(batch, kept);
    Pack step;
    for (std::size_t i = 0; i < batch.members.size(); ++i) {
      step.add({&answers[batch.members[i]].back(), 1}, batch.cache.front().used[i]);
    }
    const Run run{.lane = &lane, .pack = &step, .cache = &batch.cache};
    batch.pending = next_tokens(store, lane, sweep(store, {&run, 1}, *silent)[0]);
  }
  progress.end();
  return answers;
}

}  // namespace loraproof::engine
