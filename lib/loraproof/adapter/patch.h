// SPDX-License-Identifier: Apache-2.0
// What an adapter does to the modules of a base, as plain tensors: the result of landing, the input
// of every forward. Adapters are arguments (a PatchSet per lane), never state in a model.
#pragma once

#include <ATen/core/Tensor.h>
#include <map>
#include <string>

#include "loraproof/adapter/base_modules.h"

namespace loraproof::adapter {

/// What the adapter adds to, or puts in place of, one base module. Undefined tensors mean
/// "nothing". All tensors are f32 on the CPU (PEFT loads fp16/bf16 LoRA weights as fp32, peft
/// `autocast_adapter_dtype`), except the replacements, which keep the file's dtype.
struct ModulePatch {
  at::Tensor lora_a;     ///< [R, I] f32; for an embedding [R, V]
  at::Tensor lora_b;     ///< [O, R] f32; for an embedding [D, R]
  at::Tensor lora_bias;  ///< [O] f32: lora_B.bias (lora_bias=true); enters the sum times `scale`
  double scale = 0.0;    ///< alpha/r, or alpha/sqrt(r) with rsLoRA, after the patterns
  at::Tensor magnitude;  ///< [O] f32, for an embedding [D]: DoRA's lora_magnitude_vector
  at::Tensor weight;     ///< replaces the base weight (modules_to_save, saved embeddings)
  at::Tensor bias;       ///< replaces the base bias (bias=all|lora_only, modules_to_save)

  [[nodiscard]] bool has_lora() const { return lora_a.defined(); }
};

/// Base module path as in the checkpoint, without ".weight" ("model.layers.0.self_attn.q_proj"), to
/// its patch. Empty: the base alone.
using PatchSet = std::map<std::string, ModulePatch>;

}  // namespace loraproof::adapter
