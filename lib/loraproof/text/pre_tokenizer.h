// SPDX-License-Identifier: Apache-2.0
// The "pre_tokenizer" of tokenizer.json: ByteLevel, Split, Digits, Punctuation, Metaspace,
// Sequence.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/core/json_fwd.h"
#include "loraproof/text/split_rule.h"

namespace loraproof::text {

/// Receives the words of a text one after another. Their bytes stay where they are until flush().
class WordSink {
 public:
  virtual ~WordSink() = default;
  virtual void word(std::string_view text) = 0;
  virtual void flush() = 0;
};

class PreTokenizer {
 public:
  PreTokenizer() = default;
  /// `node`: the component, or null for none. `text_shifts`: the normalizer moves the beginning of
  /// pieces (Normalizer::shifts_text). Unknown types, options and regular expressions are refused
  /// by name.
  [[nodiscard]] static PreTokenizer from_json(const Json& node, std::string_view file,
                                              bool text_shifts);

  /// True when the last step is ByteLevel, so that words can be handed on as raw bytes.
  [[nodiscard]] bool ends_in_bytes() const;

  /// Cuts one piece (normalised, between added tokens) into non-empty words. `at_start`: the piece
  /// is the beginning of the whole text. `raw_bytes`: a final ByteLevel hands on bytes, not
  /// alphabet characters. Flushes the sink before its words' own
  /// memory goes, which is never that of `piece`.
  void run(std::string_view piece, bool at_start, bool raw_bytes, WordSink& sink) const;

 private:
  enum class Kind { ByteLevel, SplitRegex, SplitLiteral, Digits, Punctuation, Metaspace };
  enum class Behavior { Isolated, Removed, MergedWithPrevious, MergedWithNext, Contiguous };
  enum class Prepend { Always, First, Never };
  struct Step {
    Kind kind = Kind::ByteLevel;
    SplitRule rule = SplitRule::Gpt2;
    Behavior behavior = Behavior::Isolated;
    bool invert = false;                // Split: matches and gaps change places
    bool add_prefix_space = false;      // ByteLevel
    bool use_regex = false;             // ByteLevel
    Prepend prepend = Prepend::Always;  // Metaspace
    bool split = false;                 // Metaspace
    std::string literal;                // Split: the string; Metaspace: the replacement
  };
  struct Span {
    std::size_t begin = 0;
    std::size_t end = 0;
    bool match = false;
  };
  struct Run {
    bool raw_bytes;
    WordSink& sink;
  };

  void add(const JsonObject& component, int depth);
  void add_metaspace(const JsonObject& component);
  void add_split(const JsonObject& component);
  [[nodiscard]] static Behavior behavior_of(const JsonObject& component, std::string_view fallback);

  void run_step(std::size_t index, std::string_view piece, bool at_start, const Run& run) const;
  void run_byte_level(std::size_t index, std::string_view piece, bool at_start,
                      const Run& run) const;
  void run_metaspace(std::size_t index, std::string_view piece, bool at_start,
                     const Run& run) const;
  void run_split(std::size_t index, std::string_view piece, bool at_start, const Run& run) const;
  template <typename Emit>
  static void for_each_span(const Step& step, std::string_view piece, Emit&& emit);
  [[nodiscard]] static std::vector<Span> merged(std::vector<Span> spans, Behavior behavior);

  std::vector<Step> steps_;
};

}  // namespace loraproof::text
