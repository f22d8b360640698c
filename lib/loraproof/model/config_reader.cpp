// SPDX-License-Identifier: Apache-2.0
#include "loraproof/model/config_reader.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <limits>

#include "loraproof/core/json.h"

namespace loraproof::model {
namespace {

// Keys that transformers writes or users leave in config.json and that change nothing in the
// forward pass of a causal decoder: names, training and generation settings, tokenizer hints.
constexpr auto kHarmless = std::to_array<std::string_view>({
    "_attn_implementation_autoset",
    "_name_or_path",
    "architectures",
    "attention_dropout",
    "bad_words_ids",
    "begin_suppress_tokens",

    "chunk_size_feed_forward",

    "diversity_penalty",
    "do_sample",
    "dtype",
    "early_stopping",
    "encoder_no_repeat_ngram_size",

    "exponential_decay_length_penalty",
    "finetuning_task",

    "hidden_dropout",
    "id2label",
    "initializer_range",
    "is_decoder",
    "is_llama_config",
    "keys_to_ignore_at_inference",
    "label2id",
    "length_penalty",
    "max_length",
    "max_new_tokens",
    "min_length",
    "model_type",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_scores",

    "prefix",
    "pretraining_tp",
    "problem_type",
    "remove_invalid_values",
    "repetition_penalty",
    "resid_pdrop",
    "return_dict",
    "return_dict_in_generate",

    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "typical_p",
    "unsloth_fixed",
    "unsloth_version",
    "use_bfloat16",
    "use_cache",
});

bool is_trivial(const Json& value) {
  return value.is_null() || value == false ||
         ((value.is_object() || value.is_array()) && value.empty());
}

}  // namespace

std::int64_t ConfigReader::size(std::string_view key) {
  mark(key);
  const std::int64_t value = object_.integer(key);
  if (value < 1 || value > std::numeric_limits<std::int32_t>::max()) {
    throw object_.error(key, "size out of range", "1 to 2147483647", std::to_string(value));
  }
  return value;
}

std::int64_t ConfigReader::size_or(std::string_view key, std::int64_t fallback) {
  mark(key);
  return object_.has(key) ? size(key) : fallback;
}

double ConfigReader::number_or(std::string_view key, double fallback) {
  mark(key);
  return object_.number_or(key, fallback);
}

bool ConfigReader::flag_or(std::string_view key, bool fallback) {
  mark(key);
  return object_.boolean_or(key, fallback);
}

std::string ConfigReader::text_or(std::string_view key, std::string_view fallback) {
  mark(key);
  return object_.string_or(key, fallback);
}

const Json* ConfigReader::value(std::string_view key) {
  mark(key);
  return object_.find(key);
}

void ConfigReader::require_value(std::string_view key, const Json& only, std::string_view why) {
  const Json* found = value(key);
  if (found == nullptr || *found == only) return;
  throw object_.error(key, fmt::format("this value is not supported: {}", why), brief(only),
                      brief(*found));
}

void ConfigReader::refuse_unknown_keys() const {
  for (const auto& [key, value] : object_.json().items()) {
    if (key.ends_with("_token_id")) continue;  // the tokenizer's and generation's business
    if (read_.contains(key) || std::ranges::binary_search(kHarmless, key) || is_trivial(value))
      continue;
    throw object_.error(key, "this key is not known to loraproof and may change the model", "",
                        brief(value),
                        "remove it from config.json if the model does not depend on it");
  }
}

}  // namespace loraproof::model
