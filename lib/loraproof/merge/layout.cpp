// SPDX-License-Identifier: Apache-2.0
#include "loraproof/merge/layout.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <vector>

#include "loraproof/adapter/keys.h"
#include "loraproof/core/error.h"

namespace loraproof::merge {
namespace {

using adapter::BaseModule;

std::string_view last_name(std::string_view path) {
  const std::size_t dot = path.rfind('.');
  return dot == path.npos ? path : path.substr(dot + 1);
}

template <std::size_t size>
bool is_one_of(std::string_view name, const std::array<std::string_view, size>& names) {
  return std::ranges::find(names, name) != names.end();
}

// Input embeddings and position embeddings of transformers' decoders.
bool is_embedding_name(std::string_view path) {
  constexpr std::array<std::string_view, 9> kNames = {"embed_tokens",
                                                      "wte",
                                                      "wpe",
                                                      "word_embeddings",
                                                      "embed_in",
                                                      "position_embeddings",
                                                      "embed_positions",
                                                      "tok_embeddings",
                                                      "token_embedding"};
  return is_one_of(last_name(path), kNames);
}
bool is_input_embedding(std::string_view path) {
  constexpr std::array<std::string_view, 5> kNames = {"embed_tokens", "wte", "word_embeddings",
                                                      "embed_in", "tok_embeddings"};
  return is_one_of(last_name(path), kNames);
}
bool is_head_name(std::string_view path) {
  constexpr std::array<std::string_view, 3> kNames = {"lm_head", "embed_out", "output"};
  return is_one_of(path, kNames);
}

// Models whose linear layers are transformers' Conv1D, stored as [in, out].
bool is_conv1d(const std::string& model_type, std::string_view path) {
  constexpr std::array<std::string_view, 4> kModels = {"gpt2", "openai-gpt", "imagegpt",
                                                       "decision_transformer"};
  constexpr std::array<std::string_view, 4> kLayers = {"c_attn", "c_proj", "c_fc", "q_attn"};
  return is_one_of(model_type, kModels) && is_one_of(last_name(path), kLayers);
}

std::set<std::string> embeddings_of(const io::SafetensorsFile& adapter) {
  std::set<std::string> paths;
  for (const io::TensorView& view : adapter.tensors()) {
    const adapter::AdapterKey key = adapter::parse_key(view.name);
    if (key.part == adapter::Part::EmbeddingA) paths.insert(key.module);
  }
  return paths;
}

// What stands before the stored names in the adapter's paths: of the first key whose path ends with
// a stored one. A base that was saved without its head has names without it.
std::string prefix_of(const io::Checkpoint& base, const io::SafetensorsFile& adapter) {
  for (const io::TensorView& view : adapter.tensors()) {
    const std::string path = adapter::parse_key(view.name).module;
    if (base.find(path + ".weight") != nullptr) return "";
    for (std::size_t dot = path.find('.'); dot != path.npos; dot = path.find('.', dot + 1)) {
      if (base.find(path.substr(dot + 1) + ".weight") != nullptr) return path.substr(0, dot);
    }
  }
  return "";
}

void refuse_quantised(const Json& config) {
  const auto found = config.find("quantization_config");
  if (found == config.end() || found->is_null()) return;
  throw input_error(
      {.message = "the base is quantised; rounding the merge to its grid would lose the adapter",
       .file = "config.json",
       .where = "/quantization_config",
       .found = brief(*found),
       .hint = "merge into the unquantised weights, then quantise; or serve the adapter unmerged"});
}

// transformers ties unless told otherwise; a text model inside another has its own switch.
bool says_untied(const Json& config) {
  const auto is_false = [](const Json& object) {
    const auto found = object.find("tie_word_embeddings");
    return found != object.end() && found->is_boolean() && !found->get<bool>();
  };
  const auto text = config.find("text_config");
  return is_false(config) || (text != config.end() && text->is_object() && is_false(*text));
}

class LayoutBuilder {
 public:
  LayoutBuilder(const io::Checkpoint& base, const Json& config, const io::SafetensorsFile& adapter)
      : base_(base),
        model_type_(config.value("model_type", "")),
        embeddings_(embeddings_of(adapter)) {
    layout_.prefix = prefix_of(base, adapter);
  }

  BaseLayout build(bool untied) {
    for (const io::TensorView& view : base_.views()) add(view);
    if (!untied) tie_head();
    return std::move(layout_);
  }

 private:
  void add(const io::TensorView& view) {
    constexpr std::string_view kWeight = ".weight";
    if (!view.name.ends_with(kWeight) || view.shape.empty() || view.shape.size() > 2) return;
    const std::string stem = view.name.substr(0, view.name.size() - kWeight.size());
    const std::string path =
        layout_.prefix.empty() || is_head_name(stem) ? stem : layout_.prefix + "." + stem;
    StoredModule stored{.weight = view.name};
    if (base_.find(stem + ".bias") != nullptr) stored.bias = stem + ".bias";
    stored.transposed = is_conv1d(model_type_, path);
    BaseModule module{.has_bias = !stored.bias.empty(), .is_output_head = is_head_name(stem)};
    module.out = stored.transposed ? view.shape[1] : view.shape[0];
    if (view.shape.size() == 1) {
      module.kind = BaseModule::Kind::Norm;
    } else {
      module.in = stored.transposed ? view.shape[0] : view.shape[1];
      if (is_embedding_name(path) || embeddings_.contains(path))
        module.kind = BaseModule::Kind::Embedding;
    }
    if (is_input_embedding(path) && layout_.embedding.empty()) layout_.embedding = path;
    layout_.modules[path] = module;
    layout_.stored[path] = std::move(stored);
  }

  void tie_head() {
    const bool has_head = std::ranges::any_of(
        layout_.modules, [](const auto& item) { return item.second.is_output_head; });
    if (has_head || layout_.embedding.empty()) return;
    layout_.head = "lm_head";
    BaseModule head = layout_.modules.at(layout_.embedding);
    head.kind = BaseModule::Kind::Linear;
    head.is_output_head = true;
    head.has_bias = false;
    head.tied_to = layout_.embedding;
    layout_.modules[layout_.head] = head;
    layout_.stored[layout_.head] = {.weight = layout_.stored.at(layout_.embedding).weight};
  }

  const io::Checkpoint& base_;
  std::string model_type_;
  std::set<std::string> embeddings_;
  BaseLayout layout_;
};

}  // namespace

BaseLayout layout_of(const io::Checkpoint& base, const Json& config,
                     const io::SafetensorsFile& adapter) {
  refuse_quantised(config);
  return LayoutBuilder(base, config, adapter).build(says_untied(config));
}

}  // namespace loraproof::merge
