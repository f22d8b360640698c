// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/inputs.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <utility>

#include "loraproof/core/log.h"
#include "loraproof/io/model_folder.h"
#include "loraproof/model/decoder.h"

namespace loraproof::commands {

BaseInput open_base(const std::string& spec) {
  std::filesystem::path folder = io::resolve_model_folder(spec);
  model::DecoderConfig config = model::read_decoder_config(folder);
  io::Checkpoint checkpoint = io::Checkpoint::open(folder);
  model::check_weights(config, checkpoint);
  adapter::BaseModules modules = model::base_modules(config, checkpoint);
  return {std::move(folder), std::move(config), std::move(checkpoint), std::move(modules)};
}

TextInput open_text(const golden::Suite& suite, const std::filesystem::path& base,
                    const std::filesystem::path* adapter) {
  const auto needs_template = [](const golden::GoldenPrompt& prompt) {
    return !prompt.messages.is_null();
  };
  const auto needs_tokenizer = [](const golden::GoldenPrompt& prompt) {
    return prompt.ids.empty();
  };
  std::vector<std::filesystem::path> folders{base};
  if (adapter != nullptr) folders.push_back(*adapter);

  TextInput text;
  for (const auto& folder : folders) {
    const auto file = folder / "tokenizer.json";
    if (!std::filesystem::exists(file)) continue;
    text.tokenizer = text::Tokenizer::from_file(file);
    text.tokenizer_file = file;
    break;
  }
  if (!text.tokenizer && std::ranges::any_of(suite.prompts, needs_tokenizer)) {
    throw input_error({.message = "no tokenizer.json",
                       .file = base.string(),
                       .hint = "save it beside the base (tokenizer.save_pretrained), or give the "
                               "prompts as \"ids\""});
  }
  if (!std::ranges::any_of(suite.prompts, needs_template)) return text;
  for (const auto& folder : folders) {
    text.chat_template = text::ChatTemplate::from_folder(folder);
    if (!text.chat_template) continue;
    text.template_options.special_tokens = text::SpecialTokens::from_folder(folder);
    break;
  }
  if (!text.chat_template) {
    throw input_error({.message = "no chat template, and the suite has prompts given as messages",
                       .file = base.string(),
                       .expected = "chat_template.jinja, or chat_template in tokenizer_config.json",
                       .hint = "give the prompts as \"prompt\" text, or add the template the model "
                               "was trained with"});
  }
  if (text.chat_template->uses_clock()) {
    log::warn(
        "the chat template asks for today's date: prompts, and with them every figure, change from "
        "day to day");
  }
  return text;
}

std::vector<std::vector<std::int32_t>> tokenise(const golden::Suite& suite, const TextInput& text) {
  std::vector<std::vector<std::int32_t>> all;
  for (const golden::GoldenPrompt& prompt : suite.prompts) {
    std::vector<std::int32_t> ids = prompt.ids;
    if (!prompt.messages.is_null()) {
      // The template writes the special tokens itself, so none are added (as apply_chat_template).
      ids = text.tokenizer->encode(
          text.chat_template->render(prompt.messages, text.template_options), false);
    } else if (prompt.prompt) {
      ids = text.tokenizer->encode(*prompt.prompt, true);
    }
    if (ids.empty()) {
      throw input_error(
          {.message = "a prompt has no tokens", .file = suite.folder.string(), .where = prompt.id});
    }
    all.push_back(std::move(ids));
  }
  return all;
}

std::vector<std::int32_t> stop_ids(const golden::Suite& suite, const TextInput& text,
                                   const model::DecoderConfig& config) {
  std::vector<std::int32_t> ids = suite.stop_ids;
  for (const std::string& token : suite.stop_tokens) {
    const auto id = text.tokenizer ? text.tokenizer->token_to_id(token) : std::nullopt;
    if (!id) {
      throw input_error({.message = "a stop token of the suite is not one token of this tokenizer",
                         .file = (suite.folder / "suite.yaml").string(),
                         .where = "/stop",
                         .found = "'" + token + "'",
                         .hint = "name a token of the vocabulary, or use stop_ids"});
    }
    ids.push_back(*id);
  }
  if (ids.empty()) ids = config.eos_ids;
  std::ranges::sort(ids);
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

std::string answer_text(const TextInput& text, const std::vector<std::int32_t>& ids) {
  if (text.tokenizer) return text.tokenizer->decode(ids, true);
  return fmt::format("[{}]", fmt::join(ids, ", "));
}

}  // namespace loraproof::commands
