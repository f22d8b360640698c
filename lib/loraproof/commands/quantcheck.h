// SPDX-License-Identifier: Apache-2.0
// `loraproof quantcheck`: what deployments in other precisions do to an adapter.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "loraproof/commands/context.h"

namespace loraproof::commands {

struct QuantcheckOptions {
  std::string base;     ///< folder or org/name
  std::string adapter;  ///< DIR or NAME=DIR
  std::string golden;   ///< suite folder or prompts.jsonl
  std::vector<std::string> schemes;
  std::vector<std::string> candidates;         ///< quantised bases: folders or GGUF files
  std::vector<std::string> merged_candidates;  ///< the same with the adapter in them
  std::vector<std::string> orders = {"A", "B", "C", "D"};  ///< that are run
  std::vector<std::string> gated = {"A"};                  ///< those of them that the gate judges
  std::string trained_on;  ///< scheme that the base was in while the adapter was trained; "": none
  std::string adapter_dtype;          ///< what a server casts the adapter to; "": as it is
  std::vector<std::string> keep;      ///< modules that stay in 16 bit, by their names' last parts
  std::vector<std::string> quantise;  ///< linear ones that don't, although the library leaves them
  std::string blame = "fast";         ///< off, fast or swap
  bool suggest = false;               ///< look for the modules to keep in 16 bit
  std::string write;                  ///< folder for the one gated deployment; "": none
  EngineOptions engine;
  PolicyOptions policy;
};

[[nodiscard]] report::Report quantcheck(const QuantcheckOptions& options, Context& context);

}  // namespace loraproof::commands
