// SPDX-License-Identifier: Apache-2.0
// Messages of vLLM's RequestLogger (vllm/entrypoints/logger.py, 0.8 to 0.16).
#include <charconv>

#include "loraproof/drift/record.h"
#include "loraproof/text/unicode.h"

namespace loraproof::drift {
namespace {

bool read_hex(std::string_view& text, std::size_t digits, char32_t& code) {
  if (text.size() < digits) return false;
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value, 16);
  if (error != std::errc() || end != text.data() + digits) return false;
  code = value;
  text.remove_prefix(digits);
  return true;
}

bool read_escape(std::string_view& text, std::string& out) {
  if (text.empty()) return false;
  const char kind = text.front();
  text.remove_prefix(1);
  char32_t code = 0;
  switch (kind) {
    case 'n': out += '\n'; return true;
    case 't': out += '\t'; return true;
    case 'r': out += '\r'; return true;
    case '\\':
    case '\'':
    case '"': out += kind; return true;
    case 'x':
      if (!read_hex(text, 2, code)) return false;
      break;
    case 'u':
      if (!read_hex(text, 4, code)) return false;
      break;
    case 'U':
      if (!read_hex(text, 8, code)) return false;
      break;
    default: return false;
  }
  if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return false;
  text::append_utf8(out, code);
  return true;
}

bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// Moves behind the first `mark`; false when there is none.
bool skip_behind(std::string_view& text, std::string_view mark) {
  const std::size_t at = text.find(mark);
  if (at == text.npos) return false;
  text.remove_prefix(at + mark.size());
  return true;
}

bool read_ids(std::string_view text, std::vector<std::int32_t>& ids) {
  if (!take(text, "[")) return false;
  while (!take(text, "]")) {
    std::int32_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc() || id < 0) return false;
    ids.push_back(id);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    take(text, ",");
    take(text, " ");
  }
  return true;
}

std::optional<VllmMessage> prompt_of(std::string_view text) {
  VllmMessage out;
  if (!skip_behind(text, "prompt: ")) return std::nullopt;
  if (read_python_string(text, out.text)) return out;
  if (!take(text, "None") || !skip_behind(text, "prompt_token_ids: ")) return std::nullopt;
  out.has_ids = true;
  return read_ids(text, out.ids) ? std::optional(std::move(out)) : std::nullopt;
}

std::optional<VllmMessage> output_of(std::string_view text) {
  VllmMessage out;
  if (!skip_behind(text, "output: ") || !read_python_string(text, out.text)) return std::nullopt;
  if (!skip_behind(text, "finish_reason: ")) return out;
  const std::string_view reason = text.substr(0, text.find_first_of(" \t\r\n,"));
  if (reason != "None") out.finish_reason = reason;
  return out;
}

}  // namespace

bool read_python_string(std::string_view& text, std::string& out) {
  if (text.empty() || (text.front() != '\'' && text.front() != '"')) return false;
  const char quote = text.front();
  std::string_view rest = text.substr(1);
  out.clear();
  while (!rest.empty()) {
    const char c = rest.front();
    rest.remove_prefix(1);
    if (c == quote) {
      text = rest;
      return true;
    }
    if (c != '\\') {
      out += c;
    } else if (!read_escape(rest, out)) {
      return false;
    }
  }
  return false;
}

std::optional<VllmMessage> parse_vllm_message(std::string_view message, Side side) {
  if (side == Side::Output) {
    if (!skip_behind(message, "Generated response ")) return std::nullopt;
    // Deltas of a stream are parts of an answer whose whole comes at its end.
    const std::string_view head = message.substr(0, message.find("output: "));
    if (head.find("streaming delta") != head.npos) return std::nullopt;
    return output_of(message);
  }
  std::string_view rest = message;
  if (skip_behind(rest, "Received request ")) return prompt_of(rest);
  rest = message;
  if (skip_behind(rest, "Request ") &&
      rest.substr(0, rest.find(": prompt:")).ends_with(" details")) {
    return prompt_of(rest);
  }
  return std::nullopt;
}

}  // namespace loraproof::drift
