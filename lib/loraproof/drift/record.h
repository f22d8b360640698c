// SPDX-License-Identifier: Apache-2.0
// From a line of a log to the texts that are profiled: which field, which turns, which features.
// docs/drift.md says what each format looks like and where that is documented.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/drift/map.h"
#include "loraproof/drift/profile.h"
#include "loraproof/drift/unit.h"

namespace loraproof::drift {

enum class LogFormat : std::uint8_t { Jsonl, OpenAi, Vllm };

struct FeatureField {
  std::string name;
  std::string pointer;
};

/// Fields are JSON pointers; a name without a slash means the field of that name.
struct RecordOptions {
  LogFormat format = LogFormat::Jsonl;
  Side side = Side::Prompt;
  std::string field;         ///< "": the format's own
  std::string finish_field;  ///< outputs of Jsonl; "": /finish_reason
  bool ids = false;          ///< the field holds token ids
  bool keep_system = false;  ///< system and developer turns too
  std::string cluster;       ///< "": each line is a unit
  std::vector<FeatureField> features;
  std::string by;  ///< name of the feature that cuts the log into segments; "": none
};

/// "/a/b" for "/a/b" and for "a/b"; usage Error for what can't be a pointer ("/a~2").
[[nodiscard]] std::string json_pointer(const std::string& text, const std::string& option);

/// What one line gives. Views are valid until the parser's next call.
struct Record {
  std::vector<std::string_view> texts;
  std::vector<std::int32_t> ids;  ///< with has_ids, instead of texts
  bool has_ids = false;
  std::string_view finish_reason;  ///< of the first output; "": unknown
  bool refused = false;            ///< the log itself says so
  std::vector<FeatureValue> features;
};

/// One for each thread.
class RecordParser {
 public:
  explicit RecordParser(RecordOptions options);
  ~RecordParser();
  RecordParser(RecordParser&&) noexcept;

  enum class Outcome : std::uint8_t {
    Good,
    Skip,  ///< the line is no request (Vllm: another message of the server)
    Bad
  };
  /// `line` is followed by kPadding readable bytes.
  [[nodiscard]] Outcome parse(std::string_view line, Record& out, Malformed& why);

  /// The value of the cluster field as text; nothing when the line has none or is malformed.
  [[nodiscard]] std::optional<std::string> cluster_of(std::string_view line, Malformed& why);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// What vLLM's request logger prints: "Received request ID: prompt: 'text', params: ..." (to 0.10),
/// "Request ID details: prompt: 'text', prompt_token_ids: ..." (later, at level DEBUG), and
/// "Generated response ID: output: 'text', output_token_ids: ..., finish_reason: stop".
struct VllmMessage {
  std::string text;
  std::string finish_reason;
  bool has_ids = false;  ///< the prompt was given as ids
  std::vector<std::int32_t> ids;
};
/// Nothing when the message is another one, or of the other side. Throws nothing; a message that is
/// cut off gives nothing too.
[[nodiscard]] std::optional<VllmMessage> parse_vllm_message(std::string_view message, Side side);

/// Reads a Python string literal as repr() writes it from the beginning of `text`; the rest stays
/// in `text`. False when it is none.
[[nodiscard]] bool read_python_string(std::string_view& text, std::string& out);

}  // namespace loraproof::drift
