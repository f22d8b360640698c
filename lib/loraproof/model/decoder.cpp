// SPDX-License-Identifier: Apache-2.0
#include "loraproof/model/decoder.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <set>

#include "loraproof/core/error.h"
#include "loraproof/core/suggest.h"
#include "loraproof/nn/norm.h"

namespace loraproof::model {
namespace {

std::string layer_path(std::int64_t layer, std::string_view module) {
  return fmt::format("model.layers.{}.{}", layer, module);
}

const adapter::ModulePatch* find_patch(const adapter::PatchSet& patches,
                                       const std::string& module) {
  const auto found = patches.find(module);
  return found == patches.end() ? nullptr : &found->second;
}

struct LinearSpec {
  const char* module;
  nn::LinearWeights LayerWeights::*member;
  std::int64_t out;
  std::int64_t in;
  bool has_bias;
};

std::vector<LinearSpec> linear_specs(const DecoderConfig& c) {
  const std::int64_t q = c.num_heads * c.head_dim;
  const std::int64_t kv = c.num_kv_heads * c.head_dim;
  return {
      {"self_attn.q_proj", &LayerWeights::q, q, c.hidden_size, c.qkv_bias},
      {"self_attn.k_proj", &LayerWeights::k, kv, c.hidden_size, c.qkv_bias},
      {"self_attn.v_proj", &LayerWeights::v, kv, c.hidden_size, c.qkv_bias},
      {"self_attn.o_proj", &LayerWeights::o, c.hidden_size, q, c.o_bias},
      {"mlp.gate_proj", &LayerWeights::gate, c.ffn_size, c.hidden_size, c.mlp_bias},
      {"mlp.up_proj", &LayerWeights::up, c.ffn_size, c.hidden_size, c.mlp_bias},
      {"mlp.down_proj", &LayerWeights::down, c.hidden_size, c.ffn_size, c.mlp_bias},
  };
}

// Tensors that old checkpoints carry and that are recomputed from config.json.
bool is_recomputed_buffer(std::string_view name) { return name.ends_with("rotary_emb.inv_freq"); }

void check_tensor(const DecoderConfig& config, const io::Checkpoint& base, const std::string& name,
                  const std::vector<std::int64_t>& shape) {
  const io::TensorView* view = base.find(name);
  if (view == nullptr) {
    std::vector<std::string> names;
    for (const io::TensorView& other : base.views()) names.push_back(other.name);
    const std::string near = nearest_name(name, names);
    throw input_error(
        {.message = fmt::format("a tensor that model_type {} needs is missing", config.model_type),
         .file = config.file,
         .where = name,
         .hint = near.empty() ? "is this the whole checkpoint?"
                              : fmt::format("the nearest name there is '{}'", near)});
  }
  if (view->shape != shape) {
    throw input_error({.message = "tensor does not have the shape that config.json implies",
                       .file = config.file,
                       .where = name,
                       .expected = io::shape_text(shape),
                       .found = io::shape_text(view->shape),
                       .hint = "do config.json and the weights belong together?"});
  }
  const bool computable = view->dtype == io::DType::BF16 || view->dtype == io::DType::F16 ||
                          view->dtype == io::DType::F32 || view->dtype == io::DType::F64;
  if (!computable) {
    throw input_error({.message = "this element type is not supported for base weights yet",
                       .file = config.file,
                       .where = name,
                       .expected = "BF16, F16, F32 or F64",
                       .found = std::string(io::name_of(view->dtype)),
                       .hint = "use the 16-bit checkpoint"});
  }
}

}  // namespace

std::vector<WeightSlot> layer_slots(const DecoderConfig& config, std::int64_t layer) {
  std::vector<WeightSlot> slots;
  const auto norm = [&](const char* module, at::Tensor LayerWeights::*member) {
    slots.push_back({.name = layer_path(layer, module) + ".weight",
                     .shape = {config.hidden_size},
                     .norm = member});
  };
  const auto specs = linear_specs(config);
  norm("input_layernorm", &LayerWeights::input_norm);
  for (const LinearSpec& spec : specs) {
    if (spec.member == &LayerWeights::gate)
      norm("post_attention_layernorm", &LayerWeights::post_attn_norm);
    const std::string module = layer_path(layer, spec.module);
    slots.push_back(
        {.name = module + ".weight", .shape = {spec.out, spec.in}, .linear = spec.member});
    if (spec.has_bias) {
      slots.push_back(
          {.name = module + ".bias", .shape = {spec.out}, .linear = spec.member, .is_bias = true});
    }
  }
  return slots;
}

LayerWeights read_layer(const DecoderConfig& config, std::int64_t layer,
                        const std::function<at::Tensor(const WeightSlot&)>& read) {
  LayerWeights weights;
  for (const WeightSlot& slot : layer_slots(config, layer)) {
    at::Tensor tensor = read(slot);
    if (slot.norm != nullptr) {
      weights.*slot.norm = std::move(tensor);
    } else if (slot.is_bias) {
      (weights.*slot.linear).bias = std::move(tensor);
    } else {
      (weights.*slot.linear).weight = std::move(tensor);
    }
  }
  return weights;
}

std::string head_weight_name(const DecoderConfig& config, const io::Checkpoint& base) {
  // transformers 5 does not tie when the file holds a head of its own.
  const bool stored = base.find("lm_head.weight") != nullptr;
  return stored || !config.tie_word_embeddings ? "lm_head.weight"
                                               : std::string(kEmbedding) + ".weight";
}

void check_weights(const DecoderConfig& config, const io::Checkpoint& base) {
  std::set<std::string, std::less<>> expected;
  const auto check = [&](const std::string& name, const std::vector<std::int64_t>& shape) {
    check_tensor(config, base, name, shape);
    expected.insert(name);
  };
  check(std::string(kEmbedding) + ".weight", {config.vocab_size, config.hidden_size});
  for (std::int64_t layer = 0; layer < config.num_layers; ++layer) {
    for (const WeightSlot& slot : layer_slots(config, layer)) check(slot.name, slot.shape);
  }
  check(std::string(kFinalNorm) + ".weight", {config.hidden_size});
  check(head_weight_name(config, base), {config.vocab_size, config.hidden_size});
  for (const io::TensorView& view : base.views()) {
    if (expected.contains(view.name) || is_recomputed_buffer(view.name)) continue;
    throw input_error(
        {.message = fmt::format("model_type {} with this config.json does not use this tensor",
                                config.model_type),
         .file = config.file,
         .where = view.name,
         .hint = "a weight left out of the forward pass would be judged silently wrong"});
  }
}

adapter::BaseModules base_modules(const DecoderConfig& config, const io::Checkpoint& base) {
  using Kind = adapter::BaseModule::Kind;
  adapter::BaseModules modules;
  const auto has_bias = [&](const std::string& module) {
    return base.find(module + ".bias") != nullptr;
  };
  modules[kEmbedding] = {
      .kind = Kind::Embedding, .out = config.vocab_size, .in = config.hidden_size};
  for (std::int64_t layer = 0; layer < config.num_layers; ++layer) {
    for (const LinearSpec& spec : linear_specs(config)) {
      const std::string module = layer_path(layer, spec.module);
      modules[module] = {
          .kind = Kind::Linear, .out = spec.out, .in = spec.in, .has_bias = has_bias(module)};
    }
    for (const char* norm : {"input_layernorm", "post_attention_layernorm"}) {
      modules[layer_path(layer, norm)] = {.kind = Kind::Norm, .out = config.hidden_size};
    }
  }
  modules[kFinalNorm] = {.kind = Kind::Norm, .out = config.hidden_size};
  const std::string head = head_weight_name(config, base);
  const bool tied = head != std::string(kHead) + ".weight";
  modules[kHead] = {.kind = Kind::Linear,
                    .out = config.vocab_size,
                    .in = config.hidden_size,
                    .is_output_head = true,
                    .tied_to = tied ? kEmbedding : ""};
  return modules;
}

at::Tensor decoder_layer(const DecoderConfig& config, std::int64_t layer,
                         const LayerWeights& weights, const adapter::PatchSet& patches,
                         const at::Tensor& x, const Positions& positions, const KvUse& kv) {
  const std::int64_t n = x.size(0);
  const auto project = [&](const char* module, const at::Tensor& input,
                           const nn::LinearWeights& w) {
    return nn::linear(input, w, find_patch(patches, layer_path(layer, module)));
  };
  const auto normed = [&](const char* module, const at::Tensor& input, const at::Tensor& weight) {
    const adapter::ModulePatch* patch = find_patch(patches, layer_path(layer, module));
    const bool replaced = patch != nullptr && patch->weight.defined();
    return nn::rms_norm(input, replaced ? patch->weight : weight, config.rms_norm_eps);
  };

  const at::Tensor attn_in = normed("input_layernorm", x, weights.input_norm);
  const at::Tensor q =
      project("self_attn.q_proj", attn_in, weights.q).view({n, config.num_heads, config.head_dim});
  const at::Tensor k = project("self_attn.k_proj", attn_in, weights.k)
                           .view({n, config.num_kv_heads, config.head_dim});
  const at::Tensor v = project("self_attn.v_proj", attn_in, weights.v)
                           .view({n, config.num_kv_heads, config.head_dim});
  const at::Tensor q_at = nn::apply_rope(q, positions.rope);
  const at::Tensor k_at = nn::apply_rope(k, positions.rope);
  if (kv.kept != nullptr) *kv.kept = {k_at, v};
  const auto window = config.window[static_cast<std::size_t>(layer)];
  const at::Tensor attended = kv.cache == nullptr
                                  ? nn::attention(q_at, k_at, v, positions.segments, window)
                                  : nn::attention_step(q_at, k_at, v, window, *kv.cache);
  const at::Tensor after_attn = x + project("self_attn.o_proj", attended, weights.o);

  const at::Tensor mlp_in = normed("post_attention_layernorm", after_attn, weights.post_attn_norm);
  const at::Tensor gated = at::silu(project("mlp.gate_proj", mlp_in, weights.gate)) *
                           project("mlp.up_proj", mlp_in, weights.up);
  return after_attn + project("mlp.down_proj", gated, weights.down);
}

}  // namespace loraproof::model
