// SPDX-License-Identifier: Apache-2.0
// `loraproof quantcheck`: what deployments in other precisions do to an adapter.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/commands/context.h"
#include "loraproof/deploy/order.h"

namespace loraproof::commands {

/// The orders that can be asked for: A to D. E comes with `trained_on`.
inline constexpr std::span<const Choice<deploy::Order>> kDeploymentNames =
    std::span(deploy::kOrderNames).first(4);
[[nodiscard]] inline deploy::Order parse_deployment(std::string_view name) {
  return parse_choice(kDeploymentNames, name, "--deployment");
}

/// Which layers the damage comes from: not asked, an estimate, or exact.
enum class BlameMode { Off, Fast, Swap };
inline constexpr std::array kBlameModeNames{Choice<BlameMode>{BlameMode::Off, "off"},
                                            Choice<BlameMode>{BlameMode::Fast, "fast"},
                                            Choice<BlameMode>{BlameMode::Swap, "swap"}};
[[nodiscard]] inline BlameMode parse_blame_mode(std::string_view name) {
  return parse_choice(kBlameModeNames, name, "--blame");
}

/// What a server casts the adapter's matrices to.
enum class AdapterType { Fp32, Bf16, Fp16, Fp8, Int8, Q8_0 };
inline constexpr std::array kAdapterTypeNames{
    Choice<AdapterType>{AdapterType::Fp32, "fp32"}, Choice<AdapterType>{AdapterType::Bf16, "bf16"},
    Choice<AdapterType>{AdapterType::Fp16, "fp16"}, Choice<AdapterType>{AdapterType::Fp8, "fp8"},
    Choice<AdapterType>{AdapterType::Int8, "int8"}, Choice<AdapterType>{AdapterType::Q8_0, "q8_0"}};
[[nodiscard]] inline AdapterType parse_adapter_type(std::string_view name) {
  return parse_choice(kAdapterTypeNames, name, "--adapter-dtype");
}

struct QuantcheckOptions {
  std::string base;                     ///< folder or org/name
  std::string adapter;                  ///< DIR or NAME=DIR
  std::string golden;                   ///< suite folder or prompts.jsonl
  std::vector<std::string> schemes;     ///< names (quant::find_scheme; a usage Error for another)
  std::vector<std::string> candidates;  ///< quantised bases: folders or GGUF files
  std::vector<std::string> merged_candidates;  ///< the same with the adapter in them
  std::vector<deploy::Order> orders = {deploy::Order::QuantisedBase,
                                       deploy::Order::MergedThenQuantised, deploy::Order::Merged,
                                       deploy::Order::MergedIntoQuantised};  ///< that are run
  std::vector<deploy::Order> gated = {deploy::Order::QuantisedBase};  ///< that the gate judges
  std::string trained_on;  ///< scheme that the base was in while the adapter was trained; "": none
  std::optional<AdapterType> adapter_dtype;  ///< nothing: as it is
  std::vector<std::string> keep;      ///< modules that stay in 16 bit, by their names' last parts
  std::vector<std::string> quantise;  ///< linear ones that don't, although the library leaves them
  BlameMode blame = BlameMode::Fast;
  bool suggest = false;  ///< look for the modules to keep in 16 bit
  std::string write;     ///< folder for the one gated deployment; "": none
  EngineOptions engine;
  PolicyOptions policy;
};

[[nodiscard]] report::Report quantcheck(const QuantcheckOptions& options, Context& context);

}  // namespace loraproof::commands
