// SPDX-License-Identifier: Apache-2.0
// `loraproof drift map | profile | merge | seal`: from logs to profiles. No libtorch.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/commands/context.h"
#include "loraproof/drift/record.h"

namespace loraproof::commands {

inline constexpr std::array kLogFormatNames{
    Choice<drift::LogFormat>{drift::LogFormat::Jsonl, "jsonl"},
    Choice<drift::LogFormat>{drift::LogFormat::OpenAi, "openai"},
    Choice<drift::LogFormat>{drift::LogFormat::Vllm, "vllm"}};
[[nodiscard]] inline drift::LogFormat parse_log_format(std::string_view name) {
  return parse_choice(kLogFormatNames, name, "--log-format");
}

inline constexpr std::array kSideNames{Choice<drift::Side>{drift::Side::Prompt, "prompt"},
                                       Choice<drift::Side>{drift::Side::Output, "output"}};
[[nodiscard]] inline drift::Side parse_side(std::string_view name) {
  return parse_choice(kSideNames, name, "--side");
}

/// Which log is read, and how.
struct DriftLogOptions {
  std::vector<std::string> inputs;  ///< files, or "-" alone
  std::string tokenizer;            ///< tokenizer.json or its folder
  drift::LogFormat format = drift::LogFormat::Jsonl;
  std::optional<drift::Side> side;  ///< nothing: prompt, or output with output_field
  std::string field;
  std::string output_field;
  std::string finish_field;
  bool ids = false;
  bool keep_system = false;
  std::string cluster;
  std::vector<std::string> features;  ///< [NAME=]POINTER
  std::string by;                     ///< [NAME=]POINTER of the field that cuts into segments
  std::string key;                    ///< file with the secret; "": the published key
  int threads = 0;                    ///< 0: one for each core
  bool strict = false;
  std::string part;
};

/// Where the result goes: a file, or "-" for stdout (then it is the command's document).
struct DriftOutput {
  std::string path;
  bool line = false;  ///< as one line of text; without a path to stdout
};

struct DriftProfileOptions {
  DriftLogOptions log;
  std::string map;         ///< map file or unsealed profile; "": make a map, profile the rest
  bool reference = false;  ///< leave out what the map was made of
  DriftOutput out;
  PolicyOptions policy;
};
[[nodiscard]] report::Report drift_profile(const DriftProfileOptions& options, Context& context);

struct DriftMapOptions {
  DriftLogOptions log;
  DriftOutput out;
  PolicyOptions policy;
};
[[nodiscard]] report::Report drift_map(const DriftMapOptions& options, Context& context);

struct DriftMergeOptions {
  std::vector<std::string> profiles;
  DriftOutput out;
};
[[nodiscard]] report::Report drift_merge(const DriftMergeOptions& options, Context& context);

struct DriftSealOptions {
  std::string profile;
  std::string key;
  std::int64_t min_prompts = 10;
  DriftOutput out;
};
[[nodiscard]] report::Report drift_seal(const DriftSealOptions& options, Context& context);

}  // namespace loraproof::commands
