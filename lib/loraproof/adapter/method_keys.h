// SPDX-License-Identifier: Apache-2.0
// How PEFT names the tensors of the methods other than LoRA; keys.h has LoRA's, and those that all
// methods share (whole weights and biases).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "loraproof/adapter/method.h"

namespace loraproof::adapter {

/// Shapes for a linear layer [O, I] of rank R; method_shapes.h has those of other layers.
enum class MethodPart {
  Ia3L,           ///< .ia3_l [O, 1]; of a feedforward module [1, I]
  HadaW1A,        ///< .hada_w1_a [O, R]
  HadaW1B,        ///< .hada_w1_b [R, I]
  HadaW2A,        ///< .hada_w2_a [O, R]
  HadaW2B,        ///< .hada_w2_b [R, I]
  HadaT1,         ///< .hada_t1 [R, R, kernel]
  HadaT2,         ///< .hada_t2
  LokrW1,         ///< .lokr_w1 [O1, I1], where O = O1·O2 and I = I1·I2
  LokrW1A,        ///< .lokr_w1_a [O1, R]
  LokrW1B,        ///< .lokr_w1_b [R, I1]
  LokrW2,         ///< .lokr_w2 [O2, I2]
  LokrW2A,        ///< .lokr_w2_a [O2, R]
  LokrW2B,        ///< .lokr_w2_b [R, I2]
  LokrT2,         ///< .lokr_t2 [R, R, kernel]
  VeraLambdaB,    ///< .vera_lambda_b [O]
  VeraLambdaD,    ///< .vera_lambda_d [R]
  VeraA,          ///< base_model.vera_A [R, largest I of the targets]: of no module
  VeraB,          ///< base_model.vera_B [largest O, R]: of no module
  OftR,           ///< .oft_R.weight [blocks, b(b-1)/2]: upper triangles of skew matrices [b, b]
  OftEmbeddingR,  ///< .oft_embedding_R.weight
  BoftR,          ///< .boft_R [factors, blocks, b, b]
  BoftS           ///< .boft_s [O, 1]
};

struct MethodKey {
  std::string module;  ///< "" for VeraA and VeraB
  MethodPart part = MethodPart::Ia3L;
};

/// Nothing for a key that PEFT would not load as a tensor of this method.
[[nodiscard]] std::optional<MethodKey> parse_method_key(std::string_view key, Method method);

/// "base_model.model.lm_head.ia3_l".
[[nodiscard]] std::string method_key(std::string_view module, MethodPart part);

}  // namespace loraproof::adapter
