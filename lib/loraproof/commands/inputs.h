// SPDX-License-Identifier: Apache-2.0
// Opens what a command is given: headers and configs only, no weight is read here.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "loraproof/adapter/base_modules.h"
#include "loraproof/commands/adapter_input.h"
#include "loraproof/golden/reference.h"
#include "loraproof/golden/suite.h"
#include "loraproof/io/checkpoint.h"
#include "loraproof/model/decoder_config.h"
#include "loraproof/report/measure.h"
#include "loraproof/text/chat_template.h"
#include "loraproof/text/tokenizer.h"

namespace loraproof::commands {

struct BaseInput {
  std::filesystem::path folder;
  model::DecoderConfig config;
  io::Checkpoint checkpoint;
  adapter::BaseModules modules;
};
/// Resolves a folder or org/name in the local cache, reads config.json, maps and checks the
/// weights.
[[nodiscard]] BaseInput open_base(const std::string& spec);

/// What turns text into token ids. Both may be missing when all prompts are given as ids.
struct TextInput {
  std::optional<text::Tokenizer> tokenizer;
  std::filesystem::path tokenizer_file;
  std::optional<text::ChatTemplate> chat_template;
  text::ChatTemplate::Options template_options;  ///< special tokens filled in
};
/// Reads tokenizer.json and the chat template of the base's folder, or else of the adapter's.
/// Missing ones are an input Error only when a prompt of the suite needs them.
[[nodiscard]] TextInput open_text(const golden::Suite& suite, const std::filesystem::path& base,
                                  const std::filesystem::path* adapter);

/// Token ids of every prompt of the suite, in order.
[[nodiscard]] std::vector<std::vector<std::int32_t>> tokenise(const golden::Suite& suite,
                                                              const TextInput& text);

/// The ids at which an answer ends: the suite's, else the model's own.
[[nodiscard]] std::vector<std::int32_t> stop_ids(const golden::Suite& suite, const TextInput& text,
                                                 const model::DecoderConfig& config);

/// Text of answer ids for people and for `expected`: special tokens left out. Ids in brackets when
/// there is no tokenizer.
[[nodiscard]] std::string answer_text(const TextInput& text, const std::vector<std::int32_t>& ids);

}  // namespace loraproof::commands
