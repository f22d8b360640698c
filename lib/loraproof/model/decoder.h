// SPDX-License-Identifier: Apache-2.0
// One decoder layer of the Llama family, the names and shapes of its weights, and what landing
// needs to know of the base. A layer is a function of its weights and patches; there is no model
// object.
#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "loraproof/adapter/patch.h"
#include "loraproof/io/checkpoint.h"
#include "loraproof/model/decoder_config.h"
#include "loraproof/nn/attention.h"
#include "loraproof/nn/linear.h"
#include "loraproof/nn/rope.h"

namespace loraproof::model {

inline constexpr const char* kEmbedding = "model.embed_tokens";
inline constexpr const char* kFinalNorm = "model.norm";
inline constexpr const char* kHead = "lm_head";

/// Weights in the compute type, on the compute device. D hidden, O/I as in the names.
struct LayerWeights {
  at::Tensor input_norm;      ///< [D]
  at::Tensor post_attn_norm;  ///< [D]
  nn::LinearWeights q, k, v, o, gate, up, down;
};

/// One stored tensor that a part of the model is made of.
struct WeightSlot {
  std::string name;                 ///< "model.layers.0.self_attn.q_proj.weight"
  std::vector<std::int64_t> shape;  ///< as stored
  at::Tensor LayerWeights::*norm = nullptr;
  nn::LinearWeights LayerWeights::*linear = nullptr;
  bool is_bias = false;
};

/// The stored tensors of layer `layer`, in the order in which the forward uses them.
[[nodiscard]] std::vector<WeightSlot> layer_slots(const DecoderConfig& config, std::int64_t layer);

/// Builds a layer from `read(slot)`, which returns the tensor in compute type on the device.
[[nodiscard]] LayerWeights read_layer(const DecoderConfig& config, std::int64_t layer,
                                      const std::function<at::Tensor(const WeightSlot&)>& read);

/// The name of the head's weight in this checkpoint: "lm_head.weight" where it is stored, else
/// (tied) the embedding's.
[[nodiscard]] std::string head_weight_name(const DecoderConfig& config, const io::Checkpoint& base);

/// Checks that the checkpoint holds every tensor of the model with the shape config.json implies,
/// in a floating type, and no others. Throws an input Error naming the first that does not fit.
void check_weights(const DecoderConfig& config, const io::Checkpoint& base);

/// Every module an adapter may address, by path.
[[nodiscard]] adapter::BaseModules base_modules(const DecoderConfig& config,
                                                const io::Checkpoint& base);

/// Where the tokens of a forward stand.
struct Positions {
  nn::Segments segments;  ///< of N tokens
  nn::RopeTable rope;     ///< [N, Dh]
};

/// What a layer does with keys and values beside attending to its own.
struct KvUse {
  nn::LayerKv* cache = nullptr;  ///< each token continues one cached sequence
  nn::PackKv* kept = nullptr;    ///< receives those of the tokens
};

/// x [N, D] -> [N, D], as transformers LlamaDecoderLayer.forward.
[[nodiscard]] at::Tensor decoder_layer(const DecoderConfig& config, std::int64_t layer,
                                       const LayerWeights& weights,
                                       const adapter::PatchSet& patches, const at::Tensor& x,
                                       const Positions& positions, const KvUse& kv = {});

}  // namespace loraproof::model
