// SPDX-License-Identifier: Apache-2.0
// Chat templates: messages to the text a model was trained on, character for character as
// transformers' apply_chat_template (5.x) writes it. The Jinja behind it is our own subset (folder
// jinja/); what a template uses beyond it is refused by name and line, never approximated.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "loraproof/core/json.h"

namespace loraproof::text {

/// The named special tokens of a tokenizer, as transformers' special_tokens_map: what a template
/// finds under these names. A name that is missing is undefined in a template.
struct SpecialTokens {
  std::map<std::string, std::string> by_name;  ///< {"bos_token": "<s>", "image_token": "<image>"}

  /// From tokenizer_config.json: bos, eos, unk, sep, pad, cls and mask (a string, or an object with
  /// "content"), every further key that ends in _token, and an object extra_special_tokens. Where
  /// the config has no added_tokens_decoder, special_tokens_map.json is read over it. Missing files
  /// give no tokens; malformed ones an input Error.
  [[nodiscard]] static SpecialTokens from_folder(const std::filesystem::path& folder);
};

class ChatTemplate {
 public:
  /// chat_template.jinja beside the config wins (its tool variant is
  /// additional_chat_templates/tool_use.jinja), else tokenizer_config.json's chat_template: a
  /// string, or a list of {name, template} with "default" and maybe "tool_use". nullopt when there
  /// is none. Throws an input Error with file and line for a template that does not parse.
  [[nodiscard]] static std::optional<ChatTemplate> from_folder(const std::filesystem::path& folder);
  /// `file` is only for messages.
  [[nodiscard]] static ChatTemplate from_source(std::string source, std::string file);

  /// The template used without tools: what an identity check hashes and compares by line.
  [[nodiscard]] const std::string& source() const;
  /// True when the text depends on the date (strftime_now): two days give two texts.
  [[nodiscard]] bool uses_clock() const;

  /// What apply_chat_template takes beside the messages.
  struct Options {
    SpecialTokens special_tokens;  ///< Variables of the template; those of `extra` come first.
    bool add_generation_prompt = true;
    Json tools;      ///< Array of JSON schemas, or null.
    Json documents;  ///< Array of objects, or null.
    Json extra;      ///< Object of further variables (such as enable_thinking), or null.
    /// The local time for strftime_now; without it the clock of the machine is read.
    std::optional<std::chrono::local_seconds> now;
  };

  /// `messages` is an array of at least one object. As transformers does, null values of a message
  /// are dropped and a reasoning text is offered as `reasoning_content` and `thinking`.
  /// Throws an input Error with the template's line: what Jinja would fail with too, the message of
  /// raise_exception, constructs we lack, and limits on work and size. Thread-safe.
  [[nodiscard]] std::string render(const Json& messages, const Options& options) const;

 private:
  struct Parsed;
  ChatTemplate() = default;
  std::shared_ptr<const Parsed> main_;
  std::shared_ptr<const Parsed> tool_use_;  ///< Used instead of main_ when tools are given.
};

}  // namespace loraproof::text
