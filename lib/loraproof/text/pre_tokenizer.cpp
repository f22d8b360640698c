// SPDX-License-Identifier: Apache-2.0
#include "loraproof/text/pre_tokenizer.h"

#include <algorithm>

#include "loraproof/core/json.h"
#include "loraproof/text/byte_alphabet.h"
#include "loraproof/text/component.h"
#include "loraproof/text/unicode.h"

namespace loraproof::text {
namespace {

constexpr std::size_t kMaxSteps = 8;  // each step is one level of recursion

}  // namespace

PreTokenizer PreTokenizer::from_json(const Json& node, std::string_view file, bool text_shifts) {
  PreTokenizer out;
  if (node.is_null()) return out;
  const JsonObject component(node, file, "/pre_tokenizer");
  out.add(component, 0);
  if (out.steps_.size() > kMaxSteps) {
    throw component.error("pretokenizers", "too many pre-tokenizers",
                          std::to_string(kMaxSteps) + " at most",
                          std::to_string(out.steps_.size()));
  }
  for (std::size_t i = 0; i < out.steps_.size(); ++i) {
    const Step& step = out.steps_[i];
    if (step.kind == Kind::Metaspace && step.prepend == Prepend::First && (i > 0 || text_shifts)) {
      throw component.error(
          "type",
          "Metaspace with prepend_scheme \"first\" is supported only as the first "
          "pre-tokenizer and without Prepend or Replace before it");
    }
  }
  return out;
}

void PreTokenizer::add(const JsonObject& component, int depth) {
  const std::string type = component.string("type");
  if (type == "Sequence" && depth < 8) {
    require_known_fields(component, {"pretokenizers"});
    for (const JsonObject& item : object_list(component, "pretokenizers")) add(item, depth + 1);
  } else if (type == "ByteLevel") {
    require_known_fields(component, {"add_prefix_space", "trim_offsets", "use_regex"});
    if (std::any_of(steps_.begin(), steps_.end(),
                    [](const Step& s) { return s.kind == Kind::ByteLevel; })) {
      throw component.error("type", "a second ByteLevel pre-tokenizer is not supported",
                            "one at most");
    }
    Step step{.kind = Kind::ByteLevel};
    step.add_prefix_space = component.boolean("add_prefix_space");
    step.use_regex = component.boolean_or("use_regex", true);
    steps_.push_back(step);
  } else if (type == "Split") {
    add_split(component);
  } else if (type == "Digits") {
    require_known_fields(component, {"individual_digits"});
    Step step{.kind = Kind::Digits};
    step.behavior =
        component.boolean("individual_digits") ? Behavior::Isolated : Behavior::Contiguous;
    steps_.push_back(step);
  } else if (type == "Punctuation") {
    require_known_fields(component, {"behavior"});
    Step step{.kind = Kind::Punctuation};
    step.behavior = behavior_of(component, "Isolated");
    steps_.push_back(step);
  } else if (type == "Metaspace") {
    add_metaspace(component);
  } else {
    throw unsupported_type(component, "ByteLevel, Split, Digits, Punctuation, Metaspace, Sequence");
  }
}

void PreTokenizer::add_split(const JsonObject& component) {
  require_known_fields(component, {"pattern", "behavior", "invert"});
  Step step{.kind = Kind::SplitLiteral};
  step.behavior = behavior_of(component, "");
  step.invert = component.boolean("invert");
  const JsonObject pattern = component.object("pattern");
  if (pattern.has("Regex")) {
    require_known_fields(pattern, {"Regex"});
    const std::string regex = pattern.string("Regex");
    const auto rule = split_rule_of(regex);
    if (!rule) {
      throw pattern.error("Regex", "this regular expression is not supported",
                          "one of the known patterns: " + known_split_rules(),
                          brief(Json(regex), 300));
    }
    step.kind = Kind::SplitRegex;
    step.rule = *rule;
  } else {
    step.literal = literal_pattern(component);
  }
  steps_.push_back(step);
}

void PreTokenizer::add_metaspace(const JsonObject& component) {
  require_known_fields(component,
                       {"replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep"});
  Step step{.kind = Kind::Metaspace};
  step.literal = one_character(component, "replacement");
  step.split = component.boolean_or("split", true);
  const std::string scheme = component.string_or("prepend_scheme", "always");
  if (scheme == "first") {
    step.prepend = Prepend::First;
  } else if (scheme == "never") {
    step.prepend = Prepend::Never;
  } else if (scheme != "always") {
    throw component.error("prepend_scheme", "unknown value", "always, first or never", scheme);
  }
  if (!component.boolean_or("add_prefix_space", true) && step.prepend != Prepend::Never) {
    throw component.error("add_prefix_space",
                          "it contradicts prepend_scheme (tokenizers refuses this file too)",
                          "prepend_scheme \"never\"", scheme);
  }
  steps_.push_back(step);
}

PreTokenizer::Behavior PreTokenizer::behavior_of(const JsonObject& component,
                                                 std::string_view fallback) {
  const std::string name =
      fallback.empty() ? component.string("behavior") : component.string_or("behavior", fallback);
  if (name == "Isolated") return Behavior::Isolated;
  if (name == "Removed") return Behavior::Removed;
  if (name == "MergedWithPrevious") return Behavior::MergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::MergedWithNext;
  if (name == "Contiguous") return Behavior::Contiguous;
  throw component.error("behavior", "unknown value",
                        "Isolated, Removed, MergedWithPrevious, MergedWithNext or Contiguous",
                        name);
}

bool PreTokenizer::ends_in_bytes() const {
  return !steps_.empty() && steps_.back().kind == Kind::ByteLevel;
}

void PreTokenizer::run(std::string_view piece, bool at_start, bool raw_bytes,
                       WordSink& sink) const {
  if (!piece.empty()) run_step(0, piece, at_start, {raw_bytes, sink});
}

void PreTokenizer::run_step(std::size_t index, std::string_view piece, bool at_start,
                            const Run& run) const {
  if (index == steps_.size()) return run.sink.word(piece);
  switch (steps_[index].kind) {
    case Kind::ByteLevel: return run_byte_level(index, piece, at_start, run);
    case Kind::Metaspace: return run_metaspace(index, piece, at_start, run);
    default: return run_split(index, piece, at_start, run);
  }
}

void PreTokenizer::run_byte_level(std::size_t index, std::string_view piece, bool at_start,
                                  const Run& run) const {
  const Step& step = steps_[index];
  std::string prefixed;
  if (step.add_prefix_space && piece.front() != ' ') {
    prefixed.assign(" ").append(piece);
    piece = prefixed;
  }
  const bool raw = run.raw_bytes && index + 1 == steps_.size();
  std::string mapped;
  for (std::size_t pos = 0; pos < piece.size();) {
    const std::size_t end = step.use_regex ? match_end(SplitRule::Gpt2, piece, pos) : piece.size();
    const std::string_view word = piece.substr(pos, end - pos);
    if (raw) {
      run.sink.word(word);
    } else {
      mapped.clear();
      append_alphabet(mapped, word);
      run_step(index + 1, mapped, at_start && pos == 0, run);
      run.sink.flush();
    }
    pos = end;
  }
  if (!prefixed.empty()) run.sink.flush();
}

void PreTokenizer::run_metaspace(std::size_t index, std::string_view piece, bool at_start,
                                 const Run& run) const {
  const Step& step = steps_[index];
  std::string text = replace_all(piece, " ", step.literal, growth_limit(piece.size()));
  const bool wanted =
      step.prepend == Prepend::Always || (step.prepend == Prepend::First && at_start);
  if (wanted && !text.starts_with(step.literal)) text.insert(0, step.literal);
  if (!step.split) {
    run_step(index + 1, text, at_start, run);
    return run.sink.flush();
  }
  std::vector<Span> spans;
  for_each_span({.kind = Kind::SplitLiteral, .literal = step.literal}, text,
                [&](const Span& span) { spans.push_back(span); });
  for (const Span& span : merged(std::move(spans), Behavior::MergedWithNext)) {
    run_step(index + 1, std::string_view(text).substr(span.begin, span.end - span.begin),
             at_start && span.begin == 0, run);
  }
  run.sink.flush();
}

void PreTokenizer::run_split(std::size_t index, std::string_view piece, bool at_start,
                             const Run& run) const {
  const Step& step = steps_[index];
  const auto emit = [&](const Span& span) {
    run_step(index + 1, piece.substr(span.begin, span.end - span.begin),
             at_start && span.begin == 0, run);
  };
  if (step.behavior == Behavior::Isolated) return for_each_span(step, piece, emit);
  if (step.behavior == Behavior::Removed) {
    return for_each_span(step, piece, [&](const Span& span) {
      if (!span.match) emit(span);
    });
  }
  std::vector<Span> spans;
  for_each_span(step, piece, [&](const Span& span) { spans.push_back(span); });
  for (const Span& span : merged(std::move(spans), step.behavior)) emit(span);
}

// All of `piece` as alternating gaps and matches, none of them empty. For Digits and Punctuation
// each character is a match of its own.
template <typename Emit>
void PreTokenizer::for_each_span(const Step& step, std::string_view piece, Emit&& emit) {
  const auto match_at = [&](std::size_t pos) -> std::size_t {
    if (step.kind == Kind::SplitRegex) return match_end(step.rule, piece, pos);
    if (step.kind == Kind::SplitLiteral) {
      return piece.substr(pos).starts_with(step.literal) ? pos + step.literal.size() : pos;
    }
    const DecodedChar c = decode_at(piece, pos);
    const unsigned mask = step.kind == Kind::Digits ? kDigit : kPunctuation;
    return (flags_of(c.code) & mask) != 0 ? c.end : pos;
  };
  std::size_t gap = 0;
  for (std::size_t pos = 0; pos < piece.size();) {
    const std::size_t end = match_at(pos);
    if (end == pos) {
      pos = decode_at(piece, pos).end;
      continue;
    }
    if (gap < pos) emit(Span{gap, pos, step.invert});
    emit(Span{pos, end, !step.invert});
    pos = gap = end;
  }
  if (gap < piece.size()) emit(Span{gap, piece.size(), step.invert});
}

// As tokenizers normalizer.rs split folds its list of matches.
std::vector<PreTokenizer::Span> PreTokenizer::merged(std::vector<Span> spans, Behavior behavior) {
  const bool backwards = behavior == Behavior::MergedWithNext;
  if (backwards) std::reverse(spans.begin(), spans.end());
  std::vector<Span> out;
  bool previous = false;
  for (const Span& span : spans) {
    const bool joins =
        behavior == Behavior::Contiguous ? span.match == previous : span.match && !previous;
    previous = span.match;
    if (!joins || out.empty()) {
      out.push_back(span);
    } else if (backwards) {
      out.back().begin = span.begin;
    } else {
      out.back().end = span.end;
    }
  }
  if (backwards) std::reverse(out.begin(), out.end());
  return out;
}

}  // namespace loraproof::text
