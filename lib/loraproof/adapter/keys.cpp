// SPDX-License-Identifier: Apache-2.0
#include "loraproof/adapter/keys.h"

#include <array>
#include <optional>

namespace loraproof::adapter {
namespace {

constexpr std::string_view kPrefix = "base_model.model.";

struct PartRow {
  std::string_view suffix;
  Part part;
};
// Order matters: a longer suffix stands before the one that it ends with.
constexpr std::array kParts = {PartRow{".lora_A.weight", Part::LoraA},
                               PartRow{".lora_B.weight", Part::LoraB},
                               PartRow{".lora_B.bias", Part::LoraBBias},
                               PartRow{".lora_embedding_A", Part::EmbeddingA},
                               PartRow{".lora_embedding_B", Part::EmbeddingB},
                               PartRow{".lora_magnitude_vector", Part::Magnitude},
                               PartRow{".token_adapter.trainable_tokens_delta", Part::TokenRows},
                               PartRow{".base_layer.weight", Part::BaseWeight},
                               PartRow{".base_layer.bias", Part::BaseBias},
                               PartRow{".weight", Part::Weight},
                               PartRow{".bias", Part::Bias}};

// With the adapter's name still in the key; PEFT 0.21.2 loads these when the name is "default".
constexpr std::array kNamedParts = {
    PartRow{".lora_A.default.weight", Part::LoraA},
    PartRow{".lora_B.default.weight", Part::LoraB},
    PartRow{".lora_B.default.bias", Part::LoraBBias},
    PartRow{".lora_embedding_A.default", Part::EmbeddingA},
    PartRow{".lora_embedding_B.default", Part::EmbeddingB},
    PartRow{".lora_magnitude_vector.default.weight", Part::Magnitude},
    PartRow{".lora_magnitude_vector.weight", Part::Magnitude}};

struct ForeignRow {
  std::string_view text;
  Part part;
  Dialect dialect;
};
constexpr std::array kForeignSuffixes = {
    ForeignRow{".lora.down.weight", Part::LoraA, Dialect::Diffusers},
    ForeignRow{".lora.up.weight", Part::LoraB, Dialect::Diffusers},
    ForeignRow{".lora_linear_layer.down.weight", Part::LoraA, Dialect::Diffusers},
    ForeignRow{".lora_linear_layer.up.weight", Part::LoraB, Dialect::Diffusers},
    ForeignRow{".lora_down.weight", Part::LoraA, Dialect::Kohya},
    ForeignRow{".lora_up.weight", Part::LoraB, Dialect::Kohya},
    ForeignRow{".alpha", Part::Unknown, Dialect::Kohya}};

constexpr std::array<std::string_view, 11> kOtherMethods = {
    ".hada_",     ".lokr_",          ".oft_",   ".boft_",     ".vera_",
    ".ia3_l",     ".token_adapter.", ".lora_E", ".lora_diag", ".trainable_tokens_",
    ".fourierft_"};

std::string_view before(std::string_view text, std::string_view suffix) {
  return text.substr(0, text.size() - suffix.size());
}

/// Cuts known leftovers of wrappers off the front; true when there were any.
bool strip_wrappers(std::string_view& rest) {
  bool found = false;
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view wrapper : {"_orig_mod.", "module.", "base_model.model."}) {
      if (rest.starts_with(wrapper)) {
        rest.remove_prefix(wrapper.size());
        found = again = true;
      }
    }
  }
  return found;
}

/// "q_proj.lora_B.other.weight" -> module and part when a single name stands inside.
std::optional<AdapterKey> with_other_name(std::string_view rest) {
  for (const std::string_view stem : {".lora_A.", ".lora_B.", ".lora_embedding_A.",
                                      ".lora_embedding_B.", ".lora_magnitude_vector."}) {
    const std::size_t at = rest.rfind(stem);
    if (at == rest.npos) continue;
    Part part = stem == ".lora_A."             ? Part::LoraA
                : stem == ".lora_B."           ? Part::LoraB
                : stem == ".lora_embedding_A." ? Part::EmbeddingA
                : stem == ".lora_embedding_B." ? Part::EmbeddingB
                                               : Part::Magnitude;
    if (part == Part::LoraB && rest.ends_with(".bias")) part = Part::LoraBBias;
    return AdapterKey{std::string(rest.substr(0, at)), part, Dialect::OtherName};
  }
  return std::nullopt;
}

AdapterKey parse_rest(std::string_view rest) {
  for (const auto& row : kForeignSuffixes) {
    if (rest.ends_with(row.text)) {
      return {std::string(before(rest, row.text)), row.part, row.dialect};
    }
  }
  for (const auto& row : kNamedParts) {
    if (rest.ends_with(row.suffix)) {
      return {std::string(before(rest, row.suffix)), row.part, Dialect::AdapterName};
    }
  }
  if (rest.ends_with(suffix_of(Part::TokenRows)))
    return {std::string(before(rest, suffix_of(Part::TokenRows))), Part::TokenRows, Dialect::Peft};
  for (const std::string_view method : kOtherMethods) {
    if (rest.find(method) != rest.npos) {
      return {std::string(rest.substr(0, rest.find(method))), Part::Unknown, Dialect::OtherMethod};
    }
  }
  const std::size_t saved = rest.find(".modules_to_save.");
  if (saved != rest.npos) {
    const Part part = rest.ends_with(".bias") ? Part::Bias : Part::Weight;
    return {std::string(rest.substr(0, saved)), part, Dialect::SavedInfix};
  }
  for (const auto& row : kParts) {
    if (row.part == Part::Weight) {  // a LoRA stem that no row above took is spelled in another way
      if (auto key = with_other_name(rest)) return *key;
    }
    if (rest.ends_with(row.suffix)) {
      return {std::string(before(rest, row.suffix)), row.part, Dialect::Peft};
    }
  }
  if (auto key = with_other_name(rest)) return *key;
  return {std::string(rest), Part::Unknown, Dialect::UnknownPart};
}

}  // namespace

AdapterKey parse_key(std::string_view key) {
  std::string_view rest = key;
  const bool prefixed = rest.starts_with(kPrefix);
  if (prefixed) rest.remove_prefix(kPrefix.size());
  const bool wrapped = strip_wrappers(rest);
  AdapterKey result = parse_rest(rest);
  if (!prefixed && (rest.starts_with("lora_unet_") || rest.starts_with("lora_te"))) {
    result.dialect = Dialect::Kohya;
  } else if (wrapped && result.is_loaded()) {
    result.dialect = Dialect::ForeignPrefix;
  } else if (!prefixed && result.is_loaded()) {
    result.dialect = Dialect::MissingPrefix;
  }
  return result;
}

std::string_view suffix_of(Part part) {
  for (const auto& row : kParts) {
    if (row.part == part) return row.suffix;
  }
  return "";
}

std::string peft_key(std::string_view module, Part part) {
  std::string key(kPrefix);
  key += module;
  key += suffix_of(part);
  return key;
}

std::string_view problem_of(Dialect dialect) {
  switch (dialect) {
    case Dialect::Peft: return "";
    case Dialect::AdapterName:
      return "the adapter's name is left in the key (PEFT 0.21 loads it, older releases do not)";
    case Dialect::OtherName:
      return "the name of an adapter is left in the key, so PEFT does not load it";
    case Dialect::SavedInfix:
      return "the key names PEFT's wrapper (modules_to_save), and PEFT stops with a KeyError";
    case Dialect::MissingPrefix:
      return "the key lacks the prefix base_model.model., so PEFT does not load it";
    case Dialect::ForeignPrefix:
      return "the key carries a wrapper's prefix (torch.compile, DataParallel, or PEFT twice), so "
             "PEFT does not load it";
    case Dialect::Diffusers: return "the key is spelled as in diffusers, so PEFT does not load it";
    case Dialect::Kohya:
      return "the key is spelled as in the kohya scripts, so PEFT does not load it";
    case Dialect::OtherMethod: return "the tensor belongs to another method than LoRA";
    case Dialect::UnknownPart: return "the key holds nothing that a LoRA adapter consists of";
  }
  return "";
}

std::string_view hint_for(Dialect dialect) {
  switch (dialect) {
    case Dialect::Peft: return "";
    case Dialect::AdapterName:
    case Dialect::OtherName:
      return "rename the key: '.lora_A.NAME.weight' becomes '.lora_A.weight'";
    case Dialect::SavedInfix:
      return "rename the key: '.modules_to_save.NAME.weight' becomes '.weight'";
    case Dialect::MissingPrefix:
      return "put 'base_model.model.' before each key, or save the adapter with PEFT's "
             "save_pretrained";
    case Dialect::ForeignPrefix:
      return "save the unwrapped model (model.module, model._orig_mod), or cut the prefix off";
    case Dialect::Diffusers:
    case Dialect::Kohya: return "convert the adapter to PEFT's layout first";
    case Dialect::OtherMethod:
      return "peft_type says LORA: the file and adapter_config.json are not of one adapter";
    case Dialect::UnknownPart: return "remove the tensor, or find out which tool wrote it";
  }
  return "";
}

}  // namespace loraproof::adapter
