// SPDX-License-Identifier: Apache-2.0
#include "loraproof/engine/sweep.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <fmt/format.h>

#include "loraproof/core/error.h"
#include "loraproof/nn/linear.h"
#include "loraproof/nn/norm.h"

namespace loraproof::engine {
namespace {

// Rows of logits held at once; kHeadPartRows of the head are converted at once when it is streamed.
// Fixed numbers: the block shape decides the kernel and with it the last bits.
constexpr std::int64_t kLogitRows = 256;

const adapter::ModulePatch* find_patch(const Lane& lane, const char* module) {
  const auto found = lane.patches.find(module);
  return found == lane.patches.end() ? nullptr : &found->second;
}

at::Tensor embed(LayerStore& store, const Run& run) {
  const auto& ids = run.pack->ids;
  const auto vocab = static_cast<std::int32_t>(store.config().vocab_size);
  for (std::int32_t id : ids) {
    if (id < 0 || id >= vocab) {
      throw input_error({.message = "token id outside of the model's vocabulary",
                         .file = store.config().file,
                         .expected = fmt::format("0 to {}", vocab - 1),
                         .found = std::to_string(id),
                         .hint = "do the tokenizer and the base belong together?"});
    }
  }
  const at::Tensor index = at::tensor(at::ArrayRef<std::int32_t>(ids), at::kInt).to(at::kLong);
  const adapter::ModulePatch* patch = find_patch(*run.lane, model::kEmbedding);
  // Without a patch only the rows are moved and converted; the table stays where it is.
  if (patch == nullptr) {
    const at::Tensor rows =
        nn::embedding(index, store.embedding_table(), nullptr).to(store.device(), store.compute());
    return run.lane->variant == nullptr ? rows : run.lane->variant->embedding(index, rows);
  }
  adapter::ModulePatch local = *patch;
  const at::Tensor table = local.weight.defined()
                               ? local.weight
                               : store.embedding_table().to(store.device(), store.compute());
  return nn::embedding(index.to(store.device()), table, &local);
}

model::Positions positions_of(const LayerStore& store, const Pack& pack, const at::Tensor& like) {
  return {.segments = pack.segments,
          .rope = nn::rope_table(store.config().rope, pack.starts, pack.segments.lengths,
                                 like.options())};
}

// The runs in the order in which a layer serves them: those of one variant together, so that its
// weights are made once; each variant where its first run stands.
std::vector<std::size_t> by_variant(std::span<const Run> runs) {
  std::vector<std::size_t> order;
  std::vector<const WeightVariant*> variants;
  for (const Run& run : runs) {
    if (std::ranges::find(variants, run.lane->variant) == variants.end())
      variants.push_back(run.lane->variant);
  }
  for (const WeightVariant* variant : variants) {
    for (std::size_t i = 0; i < runs.size(); ++i)
      if (runs[i].lane->variant == variant) order.push_back(i);
  }
  return order;
}

}  // namespace

std::vector<at::Tensor> sweep(LayerStore& store, std::span<const Run> runs, Progress& progress) {
  const c10::InferenceMode no_autograd;
  std::vector<at::Tensor> hidden;
  std::vector<model::Positions> positions;
  for (const Run& run : runs) {
    hidden.push_back(run.fork ? at::Tensor() : embed(store, run));
    const at::Tensor& like = run.fork ? hidden[run.fork->run] : hidden.back();
    positions.push_back(run.fork ? positions[run.fork->run] : positions_of(store, *run.pack, like));
    if (run.kept != nullptr) run.kept->resize(static_cast<std::size_t>(store.config().num_layers));
  }
  const std::vector<std::size_t> order = by_variant(runs);
  for (std::int64_t layer = 0; layer < store.config().num_layers; ++layer) {
    const model::LayerWeights& stored = store.layer(layer);
    // Before any run has passed this layer.
    for (std::size_t i = 0; i < runs.size(); ++i) {
      if (runs[i].fork && runs[i].fork->layer == layer) hidden[i] = hidden[runs[i].fork->run];
    }
    const WeightVariant* variant = nullptr;
    model::LayerWeights weights = stored;
    for (const std::size_t i : order) {
      if (runs[i].fork && runs[i].fork->layer > layer) continue;
      if (runs[i].lane->variant != variant) {
        variant = runs[i].lane->variant;
        weights = variant == nullptr ? stored : layer_of(*variant, store.config(), layer, stored);
      }
      const auto index = static_cast<std::size_t>(layer);
      const model::KvUse kv{.cache = runs[i].cache == nullptr ? nullptr : &(*runs[i].cache)[index],
                            .kept = runs[i].kept == nullptr ? nullptr : &(*runs[i].kept)[index]};
      hidden[i] = model::decoder_layer(store.config(), layer, weights, runs[i].lane->patches,
                                       hidden[i], positions[i], kv);
    }
    progress.advance();
  }
  store.release_layer();
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const adapter::ModulePatch* patch = find_patch(*runs[i].lane, model::kFinalNorm);
    const bool replaced = patch != nullptr && patch->weight.defined();
    hidden[i] = nn::rms_norm(hidden[i], replaced ? patch->weight : store.final_norm(),
                             store.config().rms_norm_eps);
  }
  return hidden;
}

std::vector<std::vector<double>> layer_errors(LayerStore& store, std::span<const Run> reference,
                                              std::span<const Lane* const> lanes,
                                              Progress& progress) {
  const c10::InferenceMode no_autograd;
  std::vector<at::Tensor> hidden;
  std::vector<model::Positions> positions;
  for (const Run& run : reference) {
    hidden.push_back(embed(store, run));
    positions.push_back(positions_of(store, *run.pack, hidden.back()));
  }
  const auto weights_of = [&](const Lane& lane, std::int64_t layer,
                              const model::LayerWeights& stored) {
    return lane.variant == nullptr ? stored
                                   : layer_of(*lane.variant, store.config(), layer, stored);
  };
  std::vector<std::vector<double>> errors(lanes.size());
  for (std::int64_t layer = 0; layer < store.config().num_layers; ++layer) {
    const model::LayerWeights& stored = store.layer(layer);
    const auto run_layer = [&](const Lane& lane, const model::LayerWeights& weights,
                               std::size_t i) {
      return model::decoder_layer(store.config(), layer, weights, lane.patches, hidden[i],
                                  positions[i], {});
    };
    std::vector<at::Tensor> outputs;
    for (std::size_t i = 0; i < reference.size(); ++i) {
      const Lane& lane = *reference[i].lane;
      outputs.push_back(run_layer(lane, weights_of(lane, layer, stored), i));
    }
    for (std::size_t l = 0; l < lanes.size(); ++l) {
      const model::LayerWeights weights = weights_of(*lanes[l], layer, stored);
      double sum = 0;
      std::int64_t tokens = 0;
      for (std::size_t i = 0; i < reference.size(); ++i) {
        const at::Tensor output = outputs[i].to(at::kFloat);
        const at::Tensor change = run_layer(*lanes[l], weights, i).to(at::kFloat) - output;
        const at::Tensor share = change.square().sum(1) / output.square().sum(1);
        sum += share.sum().item<double>();
        tokens += share.size(0);
      }
      errors[l].push_back(sum / static_cast<double>(tokens));
    }
    hidden = std::move(outputs);
    progress.advance();
  }
  store.release_layer();
  return errors;
}

namespace {

// Logits [b, V] in the compute type for rows [b, D].
at::Tensor head(LayerStore& store, const Lane& lane, const at::Tensor& rows) {
  const std::int64_t vocab = store.config().vocab_size;
  const adapter::ModulePatch* patch = find_patch(lane, model::kHead);
  if (lane.variant != nullptr && lane.variant->changes(model::kHead)) {
    const nn::LinearWeights whole{.weight = store.head_rows(0, vocab), .bias = {}};
    return nn::linear(rows, lane.variant->linear(model::kHead, whole), patch);
  }
  if (patch != nullptr || store.resident()) {
    return nn::linear(rows, {.weight = store.head_rows(0, vocab), .bias = {}}, patch);
  }
  std::vector<at::Tensor> parts;
  for (std::int64_t begin = 0; begin < vocab; begin += kHeadPartRows) {
    const std::int64_t count = std::min(kHeadPartRows, vocab - begin);
    const nn::LinearWeights part{.weight = store.head_rows(begin, count), .bias = {}};
    parts.push_back(nn::linear(rows, part, nullptr));
  }
  return at::cat(parts, -1);
}

}  // namespace

void visit_logits(LayerStore& store, std::span<const LogitRequest> requests, Progress& progress) {
  const c10::InferenceMode no_autograd;
  for (const LogitRequest& request : requests) {
    for (std::int64_t begin = 0; begin < request.hidden.size(0); begin += kLogitRows) {
      const std::int64_t count = std::min(kLogitRows, request.hidden.size(0) - begin);
      const at::Tensor logits = head(store, *request.lane, request.hidden.narrow(0, begin, count));
      request.visit(begin, logits.to(at::kFloat));
      progress.advance(count);
    }
  }
}

void visit_logits_side_by_side(
    LayerStore& store, std::span<const LaneRows> lanes,
    const std::function<void(std::size_t, std::int64_t, const at::Tensor&)>& visit,
    Progress& progress) {
  const c10::InferenceMode no_autograd;
  const std::int64_t rows = lanes.empty() ? 0 : lanes.front().hidden.size(0);
  for (std::int64_t begin = 0; begin < rows; begin += kLogitRows) {
    const std::int64_t count = std::min(kLogitRows, rows - begin);
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      const at::Tensor logits =
          head(store, *lanes[i].lane, lanes[i].hidden.narrow(0, begin, count));
      visit(i, begin, logits.to(at::kFloat));
      progress.advance(count);
    }
  }
}

}  // namespace loraproof::engine
