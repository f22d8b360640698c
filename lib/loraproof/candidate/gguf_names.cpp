// SPDX-License-Identifier: Apache-2.0
#include "loraproof/candidate/gguf_names.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <span>

namespace loraproof::candidate {
namespace {

struct NamePair {
  std::string_view gguf;
  std::string_view hugging_face;
};

// Parts of a layer that are the same everywhere (gguf/tensor_mapping.py).
constexpr std::array kLayerNames = {
    NamePair{"attn_norm", "input_layernorm"},    NamePair{"attn_q", "self_attn.q_proj"},
    NamePair{"attn_k", "self_attn.k_proj"},      NamePair{"attn_v", "self_attn.v_proj"},
    NamePair{"attn_output", "self_attn.o_proj"}, NamePair{"attn_q_norm", "self_attn.q_norm"},
    NamePair{"attn_k_norm", "self_attn.k_norm"}, NamePair{"ffn_gate", "mlp.gate_proj"},
    NamePair{"ffn_up", "mlp.up_proj"},           NamePair{"ffn_down", "mlp.down_proj"},
};
constexpr std::array kTwoNorms = {NamePair{"ffn_norm", "post_attention_layernorm"}};
constexpr std::array kFourNorms = {
    NamePair{"post_attention_norm", "post_attention_layernorm"},
    NamePair{"ffn_norm", "pre_feedforward_layernorm"},
    NamePair{"post_ffw_norm", "post_feedforward_layernorm"},
};

std::string_view translated(std::span<const NamePair> pairs, std::string_view part) {
  const auto found = std::ranges::find(pairs, part, &NamePair::gguf);
  return found == pairs.end() ? std::string_view() : found->hugging_face;
}

}  // namespace

std::string hugging_face_name(const GgufNaming& naming, std::string_view name) {
  if (name == "token_embd.weight") return "model.embed_tokens.weight";
  if (name == "output_norm.weight") return "model.norm.weight";
  if (name == "output.weight") return "lm_head.weight";
  if (name == "output.bias") return "lm_head.bias";
  if (!name.starts_with("blk.")) return "";
  std::int64_t layer = 0;
  const std::string_view rest = name.substr(4);
  const auto [end, failed] = std::from_chars(rest.data(), rest.data() + rest.size(), layer);
  const auto digits = static_cast<std::size_t>(end - rest.data());
  if (failed != std::errc() || layer < 0 || layer >= naming.layers || digits >= rest.size() ||
      rest[digits] != '.') {
    return "";
  }
  const std::string_view part = rest.substr(digits + 1);
  const std::size_t dot = part.rfind('.');
  if (dot == part.npos || (part.substr(dot) != ".weight" && part.substr(dot) != ".bias")) return "";
  const std::string_view stem = part.substr(0, dot);
  std::string_view found = translated(kLayerNames, stem);
  if (found.empty()) {
    found = naming.four_norms ? translated(kFourNorms, stem) : translated(kTwoNorms, stem);
  }
  if (found.empty()) return "";
  return fmt::format("model.layers.{}.{}{}", layer, found, part.substr(dot));
}

std::string gguf_name(std::string_view module) {
  if (module == "model.embed_tokens") return "token_embd";
  if (module == "lm_head") return "output";
  constexpr std::string_view kLayers = "model.layers.";
  if (!module.starts_with(kLayers)) return "";
  const std::string_view rest = module.substr(kLayers.size());
  const std::size_t dot = rest.find('.');
  if (dot == rest.npos) return "";
  const auto found = std::ranges::find(kLayerNames, rest.substr(dot + 1), &NamePair::hugging_face);
  if (found == kLayerNames.end()) return "";
  return fmt::format("blk.{}.{}", rest.substr(0, dot), found->gguf);
}

}  // namespace loraproof::candidate
