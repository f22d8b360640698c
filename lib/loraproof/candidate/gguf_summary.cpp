// SPDX-License-Identifier: Apache-2.0
#include "loraproof/candidate/gguf_summary.h"

#include <algorithm>
#include <fmt/format.h>

#include "loraproof/core/error.h"
#include "loraproof/io/tensor_view.h"

namespace loraproof::candidate {
namespace {

// Reads the values of one file with errors that name the key.
class Values {
 public:
  explicit Values(const io::GgufFile& gguf) : gguf_(gguf) {}

  [[nodiscard]] Error error(const std::string& key, std::string message, std::string expected,
                            std::string found) const {
    return input_error({.message = std::move(message),
                        .file = gguf_.file().path().string(),
                        .where = key,
                        .expected = std::move(expected),
                        .found = std::move(found),
                        .hint = "convert the model again with a current llama.cpp"});
  }

  [[nodiscard]] std::optional<std::string> text(const std::string& key) const {
    const io::GgufValue* value = gguf_.value(key);
    if (value == nullptr) return std::nullopt;
    const auto text = value->text();
    if (!text) throw wrong_type(key, "a string", *value);
    return std::string(*text);
  }

  [[nodiscard]] std::optional<double> number(const std::string& key) const {
    const io::GgufValue* value = gguf_.value(key);
    if (value == nullptr) return std::nullopt;
    const auto number = value->number();
    if (!number) throw wrong_type(key, "a number", *value);
    return number;
  }

  // A count of at least `least`. Some converters write one value a layer; where all agree, it is
  // the value.
  [[nodiscard]] std::optional<std::int64_t> count(const std::string& key,
                                                  std::int64_t least = 1) const {
    const io::GgufValue* value = gguf_.value(key);
    if (value == nullptr) return std::nullopt;
    std::optional<std::int64_t> number = value->integer();
    if (const auto list = value->integers(); list && !list->empty()) {
      if (std::ranges::adjacent_find(*list, std::not_equal_to<>()) != list->end()) {
        throw error(key, "layers differ in this value", "one value", "several");
      }
      number = list->front();
    }
    if (!number) throw wrong_type(key, "a whole number", *value);
    if (*number < least || *number > (std::int64_t{1} << 40)) {
      throw error(key, "value out of range", fmt::format("{} to 2^40", least),
                  fmt::format("{}", *number));
    }
    return number;
  }

  [[nodiscard]] std::int64_t required_count(const std::string& key) const {
    const auto number = count(key);
    if (!number) throw error(key, "GGUF value is missing", "a whole number", "nothing");
    return *number;
  }

 private:
  [[nodiscard]] Error wrong_type(const std::string& key, std::string expected,
                                 const io::GgufValue& value) const {
    return error(key, "wrong type", std::move(expected), std::string(io::name_of(value.type)));
  }

  const io::GgufFile& gguf_;
};

void read_rope(const Values& values, const std::string& prefix, GgufSummary& summary) {
  summary.rope_dimension_count = values.count(prefix + "rope.dimension_count");
  summary.rope_theta = values.number(prefix + "rope.freq_base");
  summary.rope_scaling_type = values.text(prefix + "rope.scaling.type");
  summary.rope_scaling_factor = values.number(prefix + "rope.scaling.factor");
  summary.rope_original_context = values.count(prefix + "rope.scaling.original_context_length");
}

}  // namespace

GgufSummary summarise(const io::GgufFile& gguf) {
  const Values values(gguf);
  GgufSummary summary;
  const auto architecture = values.text("general.architecture");
  if (!architecture || architecture->empty()) {
    throw values.error("general.architecture", "GGUF value is missing", "a string", "nothing");
  }
  summary.architecture = *architecture;
  summary.name = values.text("general.name").value_or("");
  summary.file_type = values.count("general.file_type", 0);
  const std::string prefix = summary.architecture + ".";
  summary.num_hidden_layers = values.required_count(prefix + "block_count");
  summary.hidden_size = values.required_count(prefix + "embedding_length");
  summary.num_attention_heads = values.required_count(prefix + "attention.head_count");
  summary.num_key_value_heads =
      values.count(prefix + "attention.head_count_kv").value_or(summary.num_attention_heads);
  summary.head_dim = values.count(prefix + "attention.key_length")
                         .value_or(summary.hidden_size / summary.num_attention_heads);
  summary.intermediate_size = values.count(prefix + "feed_forward_length");
  summary.max_position_embeddings = values.count(prefix + "context_length");
  summary.sliding_window = values.count(prefix + "attention.sliding_window", 0);
  read_rope(values, prefix, summary);
  summary.has_rope_freqs = gguf.find("rope_freqs.weight") != nullptr;
  summary.rms_norm_eps = values.number(prefix + "attention.layer_norm_rms_epsilon");
  summary.attn_logit_softcapping = values.number(prefix + "attn_logit_softcapping");
  summary.final_logit_softcapping = values.number(prefix + "final_logit_softcapping");
  const io::GgufTensor* embedding = gguf.find("token_embd.weight");
  if (embedding == nullptr || embedding->shape.size() != 2) {
    throw values.error("token_embd.weight", "embedding is missing or no matrix",
                       "a tensor [vocabulary, hidden]",
                       embedding == nullptr ? "nothing" : io::shape_text(embedding->shape));
  }
  summary.vocab_size = embedding->shape[0];
  if (const io::GgufValue* tokens = gguf.value("tokenizer.ggml.tokens")) {
    summary.tokens = static_cast<std::int64_t>(tokens->count);
  }
  summary.tie_word_embeddings = gguf.find("output.weight") == nullptr;
  return summary;
}

}  // namespace loraproof::candidate
