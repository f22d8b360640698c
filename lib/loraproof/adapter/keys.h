// SPDX-License-Identifier: Apache-2.0
// The only place that knows how PEFT names the tensors of an adapter file. A key is taken apart
// into the base module it speaks of and the part of the adapter it holds; spellings of other tools
// are recognised, so that a finding can say what they are, but what PEFT would not load stays
// unusable.
#pragma once

#include <string>
#include <string_view>

namespace loraproof::adapter {

enum class Part {
  LoraA,       ///< .lora_A.weight [R, I]
  LoraB,       ///< .lora_B.weight [O, R]
  LoraBBias,   ///< .lora_B.bias [O]
  EmbeddingA,  ///< .lora_embedding_A [R, V]
  EmbeddingB,  ///< .lora_embedding_B [D, R]
  Magnitude,   ///< .lora_magnitude_vector [O], embedding [D]
  TokenRows,   ///< .token_adapter.trainable_tokens_delta: rows of an embedding [N, D]
  BaseWeight,  ///< .base_layer.weight: the weight under a LoRA module
  BaseBias,    ///< .base_layer.bias
  Weight,      ///< .weight of a module without LoRA (modules_to_save, saved embeddings)
  Bias,        ///< .bias of a module without LoRA
  Unknown,
};

/// How a key is spelled. All but Peft and AdapterName are not loaded by PEFT 0.21.2 (it warns at
/// most), measured in golden/values/adapter_landing.json under "dialects".
enum class Dialect {
  Peft,
  AdapterName,    ///< ".lora_A.default.weight": PEFT loads it, loraproof notes it
  OtherName,      ///< the name of another adapter is left in the key
  SavedInfix,     ///< "lm_head.modules_to_save.default.weight"
  MissingPrefix,  ///< no "base_model.model."
  ForeignPrefix,  ///< "_orig_mod.", "module." or the prefix twice
  Diffusers,      ///< ".lora.down.weight", ".lora_linear_layer."
  Kohya,          ///< "lora_unet_..", "lora_te_..", ".lora_down.weight", ".alpha"
  OtherMethod,    ///< hada_, lokr_, oft_, vera_...: a PEFT method other than LoRA
  UnknownPart,    ///< right prefix, but nothing that LoRA saves
};

struct AdapterKey {
  std::string module;  ///< Base module path, or the best guess of it in a foreign dialect.
  Part part = Part::Unknown;
  Dialect dialect = Dialect::Peft;

  /// True when PEFT loads a tensor with this spelling.
  [[nodiscard]] bool is_loaded() const {
    return dialect == Dialect::Peft || dialect == Dialect::AdapterName;
  }
};

[[nodiscard]] AdapterKey parse_key(std::string_view key);

/// The key that PEFT writes for this part: "base_model.model.lm_head.lora_A.weight".
[[nodiscard]] std::string peft_key(std::string_view module, Part part);

/// ".lora_A.weight" and so on; "" for Unknown.
[[nodiscard]] std::string_view suffix_of(Part part);

/// What is wrong with this spelling, and what to do about it; "" for Peft.
[[nodiscard]] std::string_view problem_of(Dialect dialect);
[[nodiscard]] std::string_view hint_for(Dialect dialect);

}  // namespace loraproof::adapter
