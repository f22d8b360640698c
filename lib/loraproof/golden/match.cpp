// SPDX-License-Identifier: Apache-2.0
#include "loraproof/golden/match.h"

#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "loraproof/text/jinja/unicode.h"
#include "loraproof/text/nfc.h"
#include "loraproof/text/unicode.h"

namespace loraproof::golden {
namespace {

constexpr std::pair<MatchKind, std::string_view> kNames[] = {
    {MatchKind::Exact, "exact"}, {MatchKind::Normalized, "normalized"},
    {MatchKind::Json, "json"},   {MatchKind::Contains, "contains"},
    {MatchKind::Regex, "regex"},
};

// Answers can hold broken UTF-8 (a token that ends inside a character), expectations can't.
std::string normalized(std::string_view text) {
  const std::string valid = text::lossy_utf8(text);
  std::string folded;
  bool gap = false;
  for (char32_t c : text::jinja::decode(text::jinja::to_lower(text::nfc(valid)))) {
    if (text::jinja::is_space(c)) {
      gap = !folded.empty();
      continue;
    }
    if (std::exchange(gap, false)) folded += ' ';
    text::append_utf8(folded, c);
  }
  return folded;
}

// Equality of JSON values: objects without regard to order, numbers by value.
bool equal_values(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) return a == b;
  if (a.type() != b.type() || a.size() != b.size()) return false;
  if (a.is_array()) return std::equal(a.begin(), a.end(), b.begin(), equal_values);
  if (!a.is_object()) return a == b;
  for (const auto& [key, value] : a.items()) {
    const auto other = b.find(key);
    if (other == b.end() || !equal_values(value, *other)) return false;
  }
  return true;
}

}  // namespace

std::optional<MatchKind> match_kind_of(std::string_view name) {
  for (const auto& [kind, known] : kNames) {
    if (known == name) return kind;
  }
  return std::nullopt;
}

std::string_view name_of(MatchKind kind) {
  for (const auto& [known, name] : kNames) {
    if (known == kind) return name;
  }
  return "";
}

Expectation::Expectation(MatchKind kind, std::string expected, const std::string& file,
                         const std::string& where)
    : kind_(kind), text_(std::move(expected)) {
  if (kind_ == MatchKind::Normalized) normalized_ = normalized(text_);
  if (kind_ == MatchKind::Regex) {
    regex_ =
        std::make_shared<const adapter::PythonRegex>(text_, adapter::PatternOrigin{file, where});
  }
  if (kind_ != MatchKind::Json) return;
  try {
    json_ = parse_json(text_, file);
  } catch (const Error& error) {
    throw input_error({.message = "match is json, but the expected text is not one JSON document",
                       .file = file,
                       .where = where,
                       .found = error.detail().message,
                       .hint = "correct the text, or use another match"});
  }
}

bool Expectation::met_by(std::string_view answer) const {
  switch (kind_) {
    case MatchKind::Exact: return answer == text_;
    case MatchKind::Normalized: return normalized(answer) == normalized_;
    case MatchKind::Contains: return answer.find(text_) != std::string_view::npos;
    case MatchKind::Regex: return regex_->search(text::lossy_utf8(answer));
    case MatchKind::Json: break;
  }
  try {
    return equal_values(parse_json(answer, ""), json_);
  } catch (const Error&) {
    return false;  // an answer that is no JSON document is a wrong answer, not a broken input
  }
}

}  // namespace loraproof::golden
