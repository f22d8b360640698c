// SPDX-License-Identifier: Apache-2.0
#include "loraproof/merge/layout.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <set>
#include <string_view>
#include <vector>

#include "loraproof/adapter/keys.h"
#include "loraproof/core/error.h"
#include "loraproof/core/json.h"

namespace loraproof::merge {
namespace {

using adapter::BaseModule;

constexpr std::size_t kMostExperts = 100'000;  // no model has more; a name is no reason to allocate

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

using Adapters = std::vector<const io::SafetensorsFile*>;

std::set<std::string> embeddings_of(const Adapters& adapters) {
  std::set<std::string> paths;
  for (const io::SafetensorsFile* file : adapters) {
    for (const io::TensorView& view : file->tensors()) {
      const adapter::AdapterKey key = adapter::parse_key(view.name);
      if (key.part == adapter::Part::EmbeddingA) paths.insert(key.module);
    }
  }
  return paths;
}

// Factors of a convolution have its kernel; those of other methods than LoRA need not.
std::set<std::string> convolutions_of(const Adapters& adapters) {
  std::set<std::string> paths;
  for (const io::SafetensorsFile* file : adapters) {
    for (const io::TensorView& view : file->tensors()) {
      const adapter::AdapterKey key = adapter::parse_key(view.name);
      const bool other = key.dialect == adapter::Dialect::OtherMethod;
      if (view.shape.size() > 2 || other) paths.insert(key.module);
    }
  }
  return paths;
}

// Models whose experts are stored, and in memory, as [E, in, out]: those that transformers 5.23
// declares with is_transposed=True.
bool is_transposed_stack(const std::string& model_type) {
  constexpr std::array<std::string_view, 4> kModels = {"gpt_oss", "aria", "aria_text",
                                                       "openai_privacy_filter"};
  return is_one_of(model_type, kModels);
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

bool names(const Adapters& adapters, std::string_view part) {
  return std::ranges::any_of(adapters, [&](const io::SafetensorsFile* file) {
    return std::ranges::any_of(file->tensors(), [&](const io::TensorView& view) {
      return view.name.find(part) != view.name.npos;
    });
  });
}

std::string common_prefix(const io::Checkpoint& base, const Adapters& adapters) {
  const std::string prefix = prefix_of(base, *adapters.front());
  for (const io::SafetensorsFile* file : adapters) {
    const std::string other = prefix_of(base, *file);
    if (other == prefix) continue;
    throw input_error({.id = "merge.mixed_names",
                       .message = "the adapters name the base's modules in different ways",
                       .file = file->file().path().string(),
                       .expected = prefix,
                       .found = other});
  }
  return prefix;
}

void refuse_quantised(const Json& config) {
  const auto found = config.find("quantization_config");
  if (found == config.end() || found->is_null()) return;
  throw input_error(
      {.id = "base.quantised",
       .message = "the base is quantised; rounding the merge to its grid would lose the adapter",
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
  LayoutBuilder(const io::Checkpoint& base, const Json& config, const Adapters& adapters)
      : base_(base),
        adapters_(adapters),
        model_type_(config.value("model_type", "")),
        embeddings_(embeddings_of(adapters)),
        convolutions_(convolutions_of(adapters)) {
    layout_.prefix = common_prefix(base, adapters);
    renames_block_ = model_type_ == "mixtral" && !names(adapters, ".block_sparse_moe.");
  }

  BaseLayout build(bool untied) {
    for (const io::TensorView& view : base_.views()) add(view);
    add_experts();
    if (!untied) tie_head();
    for (const io::SafetensorsFile* file : adapters_) resize(*file);
    return std::move(layout_);
  }

 private:
  void add(const io::TensorView& view) {
    constexpr std::string_view kWeight = ".weight";
    if (!view.name.ends_with(kWeight)) {
      const std::string_view name = last_name(view.name);
      const bool stack = name == "gate_up_proj" || name == "down_proj";
      if (stack && view.shape.size() == 3) add_stack(view, path_of(view.name));
      return;
    }
    const std::string stem = view.name.substr(0, view.name.size() - kWeight.size());
    if (const std::string stack = stack_of(stem); !stack.empty() && view.shape.size() == 3)
      return add_stack(view, path_of(stack));
    if (view.shape.empty() || (view.shape.size() > 2 && !convolutions_.contains(path_of(stem))))
      return;
    const std::string path = path_of(stem);
    add_expert(view, path);
    StoredModule stored{.weight = view.name};
    if (base_.find(stem + ".bias") != nullptr) stored.bias = stem + ".bias";
    stored.transposed = is_conv1d(model_type_, path);
    BaseModule module{.has_bias = !stored.bias.empty(), .is_output_head = is_head_name(stem)};
    module.transposed = stored.transposed;
    module.out = stored.transposed ? view.shape[1] : view.shape[0];
    if (view.shape.size() == 1) {
      module.kind = BaseModule::Kind::Norm;
    } else {
      module.in = stored.transposed ? view.shape[0] : view.shape[1];
      if (is_embedding_name(path) || embeddings_.contains(path))
        module.kind = BaseModule::Kind::Embedding;
    }
    if (view.shape.size() > 2) {
      module.kind = BaseModule::Kind::Conv;
      module.kernel.assign(view.shape.begin() + 2, view.shape.end());
    }
    if (is_input_embedding(path) && layout_.embedding.empty()) layout_.embedding = path;
    layout_.modules[path] = module;
    layout_.stored[path] = std::move(stored);
  }

  [[nodiscard]] std::string path_of(const std::string& stem) const {
    const std::string name = renames_block_ ? in_memory(stem) : stem;
    return layout_.prefix.empty() || is_head_name(stem) ? name : layout_.prefix + "." + name;
  }

  // A parameter that is stored as it is in memory: "...experts.gate_up_proj" [E, out, in].
  void add_stack(const io::TensorView& view, const std::string& path) {
    BaseModule module{.kind = BaseModule::Kind::Experts, .out = view.shape[1], .in = view.shape[2]};
    module.experts = view.shape[0];
    module.transposed = is_transposed_stack(model_type_);
    if (module.transposed) std::swap(module.out, module.in);
    layout_.modules[path] = module;
    layout_.stored[path] = {.weight = view.name};
  }

  // "...experts.7.w1.weight": a piece of the stacked gate_up_proj.
  void add_expert(const io::TensorView& view, const std::string& path) {
    if (view.shape.size() != 2) return;
    const std::string_view role = last_name(path);
    const std::string_view rest = std::string_view(path).substr(0, path.size() - role.size() - 1);
    const std::string_view number = last_name(rest);
    std::size_t expert = 0;
    const auto [end, failed] =
        std::from_chars(number.data(), number.data() + number.size(), expert);
    if (failed != std::errc() || end != number.data() + number.size() || expert >= kMostExperts)
      return;
    const std::string owner(rest.substr(0, rest.size() - number.size() - 1));
    if (last_name(owner) != "experts") return;
    const bool gate = role == "gate_proj" || role == "w1", up = role == "up_proj" || role == "w3";
    if (!gate && !up && role != "down_proj" && role != "w2") return;
    auto& experts = experts_[in_memory(owner) + (gate || up ? ".gate_up_proj" : ".down_proj")];
    if (experts.size() <= expert) experts.resize(expert + 1);
    // The first half of gate_up_proj is the gate.
    experts[expert].push_back({view.name, up ? view.shape[0] : 0, view.shape[0]});
  }

  // GraniteMoE's stacks have names of their own on disk; "" where this is none.
  static std::string stack_of(const std::string& stem) {
    const auto with = [&](std::string_view stored, std::string_view name) {
      return stem.substr(0, stem.size() - stored.size()) + std::string(name);
    };
    constexpr std::string_view kInput = ".input_linear", kOutput = ".output_linear";
    if (stem.ends_with(kInput)) return with(kInput, ".experts.gate_up_proj");
    return stem.ends_with(kOutput) ? with(kOutput, ".experts.down_proj") : "";
  }

  // transformers 5 calls Mixtral's block "mlp" and stores it under the name of its release.
  static std::string in_memory(std::string path) {
    constexpr std::string_view kStored = ".block_sparse_moe.";
    const std::size_t at = path.find(kStored);
    return at == path.npos ? path : path.replace(at, kStored.size(), ".mlp.");
  }

  // Complete ones only: all experts have the same pieces, which fill the matrix.
  void add_experts() {
    for (auto& [path, experts] : experts_) {
      std::int64_t rows = 0;
      for (const StoredPiece& piece : experts.front()) rows += piece.rows;
      const bool complete = std::ranges::all_of(experts, [&](const auto& pieces) {
        std::int64_t sum = 0;
        for (const StoredPiece& piece : pieces) sum += piece.rows;
        const std::size_t wanted = path.ends_with(".gate_up_proj") ? 2 : 1;
        return pieces.size() == wanted && sum == rows;
      });
      if (!complete) continue;
      BaseModule module{.kind = BaseModule::Kind::Experts, .out = rows};
      module.in = base_.find(experts.front().front().tensor)->shape[1];
      module.experts = std::ssize(experts);
      layout_.modules[path] = module;
      layout_.stored[path].pieces = std::move(experts);
    }
  }

  // An adapter that was trained with more tokens holds the embedding and the head whole.
  void resize(const io::SafetensorsFile& adapter) {
    const auto found = layout_.modules.find(layout_.embedding);
    if (found == layout_.modules.end()) return;
    layout_.vocab_size = found->second.out;
    for (const io::TensorView& view : adapter.tensors()) {
      const adapter::AdapterKey key = adapter::parse_key(view.name);
      const bool whole = key.part == adapter::Part::Weight || key.part == adapter::Part::BaseWeight;
      if (!whole || view.shape.size() != 2 || view.shape[1] != found->second.in) continue;
      const auto module = layout_.modules.find(key.module);
      if (module == layout_.modules.end() || module->second.out != layout_.vocab_size) continue;
      if (key.module == layout_.embedding || module->second.is_output_head)
        resized_[key.module] = view.shape[0];
    }
    const auto size = resized_.find(layout_.embedding);
    if (size == resized_.end() || size->second == layout_.vocab_size) return;
    for (auto& [path, module] : layout_.modules) {
      if (path != layout_.embedding && !module.is_output_head) continue;
      const bool tied = path == layout_.head && !resized_.contains(path);
      if (!tied && (!resized_.contains(path) || resized_.at(path) != size->second)) {
        throw input_error({.id = "merge.head_not_resized",
                           .message = "the adapter resized the embedding, but not the head",
                           .file = adapter.file().path().string(),
                           .where = path,
                           .expected = fmt::format("{} rows", size->second),
                           .hint = "save the adapter again, with save_embedding_layers=True"});
      }
      module.out = size->second;
    }
    layout_.vocab_size = size->second;
    layout_.resized = true;
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
  const Adapters& adapters_;
  std::string model_type_;
  bool renames_block_ = false;  // the adapters speak of Mixtral as transformers 5 has it in memory
  std::set<std::string> embeddings_;
  std::set<std::string> convolutions_;
  std::map<std::string, std::vector<std::vector<StoredPiece>>> experts_;  // by path of the stack
  std::map<std::string, std::int64_t> resized_;  // rows of whole embeddings and heads, by path
  BaseLayout layout_;
};

}  // namespace

BaseLayout layout_of(const io::Checkpoint& base, const Json& config, const Adapters& adapters) {
  refuse_quantised(config);
  return LayoutBuilder(base, config, adapters).build(says_untied(config));
}

}  // namespace loraproof::merge
