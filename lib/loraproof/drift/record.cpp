// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/record.h"

#include <algorithm>
#include <cctype>
#include <simdjson.h>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "loraproof/text/unicode.h"

namespace loraproof::drift {
namespace {

using Element = simdjson::dom::element;
using Array = simdjson::dom::array;

constexpr std::size_t kMaxValueBytes = 128;

/// Ends the reading of a line; caught in parse().
struct BadRecord {
  Malformed why;
};

std::optional<Element> at(const Element& root, std::string_view pointer) {
  Element out;
  if (root.at_pointer(pointer).get(out) != simdjson::SUCCESS || out.is_null()) return std::nullopt;
  return out;
}

std::string_view string_at(const Element& root, std::string_view pointer) {
  const std::optional<Element> found = at(root, pointer);
  std::string_view text;
  if (!found || found->get_string().get(text) != simdjson::SUCCESS) return {};
  return text;
}

// An escape of a surrogate at all: simdjson has refused the string, so it has no partner.
bool has_surrogate(std::string_view line) {
  for (std::size_t i = line.find("\\u"); i != line.npos; i = line.find("\\u", i + 2)) {
    const std::string_view digits = line.substr(i + 2, 2);
    if (digits.size() == 2 && (digits[0] | 0x20) == 'd' && digits[1] > '7') return true;
  }
  return false;
}

Malformed kind_of(simdjson::error_code code, std::string_view line) {
  if (line.find('\0') != line.npos) return Malformed::Binary;
  if (code == simdjson::UTF8_ERROR) {
    // A packed or binary file has control characters all over, a Latin-1 text has none.
    const auto controls = std::count_if(line.begin(), line.end(), [](char c) {
      return static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\r';
    });
    return controls > 0 ? Malformed::Binary : Malformed::Utf8;
  }
  if (code == simdjson::STRING_ERROR && has_surrogate(line)) return Malformed::Surrogate;
  return Malformed::Json;
}

// Integers of more than 64 bits are JSON, but not for simdjson. Their values are of no interest
// here, so digits beyond the 15th become zeros. Outside of strings only.
std::string with_short_numbers(std::string_view line) {
  std::string out(line);
  bool in_string = false;
  std::size_t digits = 0;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const char c = out[i];
    if (in_string && c == '\\' && i + 1 < line.size()) {
      out[kept++] = c;
      out[kept++] = out[++i];
      continue;
    }
    if (c == '"') in_string = !in_string;
    const bool is_digit = !in_string && c >= '0' && c <= '9';
    digits = is_digit ? digits + 1 : 0;
    if (digits <= 15) out[kept++] = c;
  }
  out.resize(kept);
  return out;
}

}  // namespace

std::string json_pointer(const std::string& text, const std::string& option) {
  std::string out = text.empty() || text.front() == '/' ? text : "/" + text;
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (out[i] != '~') continue;
    if (i + 1 >= out.size() || (out[i + 1] != '0' && out[i + 1] != '1')) {
      throw usage_error({.message = "not a JSON pointer",
                         .where = option,
                         .expected = "/field/field, with ~0 for ~ and ~1 for /",
                         .found = text});
    }
  }
  if (!text::is_valid_utf8(out)) {
    throw usage_error({.message = "not a JSON pointer", .where = option, .expected = "UTF-8"});
  }
  return out;
}

struct RecordParser::Impl {
  RecordOptions options;
  simdjson::dom::parser parser;
  VllmMessage vllm;      // owns what a record of Vllm points at
  std::string repaired;  // likewise

  // The document of a line; throws BadRecord.
  Element document(std::string_view line) {
    Element root;
    simdjson::error_code code = parser.parse(line.data(), line.size(), false).get(root);
    if (code != simdjson::SUCCESS && code != simdjson::UTF8_ERROR && code != simdjson::MEMALLOC) {
      repaired = with_short_numbers(line);
      if (repaired != line) code = parser.parse(repaired.data(), repaired.size(), true).get(root);
    }
    if (code == simdjson::MEMALLOC) throw std::bad_alloc();
    if (code != simdjson::SUCCESS) throw BadRecord{kind_of(code, line)};
    return root;
  }

  void add_ids(const Array& array, Record& out) {
    out.has_ids = true;
    for (const Element item : array) {
      std::int64_t id = 0;
      if (item.get_int64().get(id) != simdjson::SUCCESS || id < 0 || id > INT32_MAX)
        throw BadRecord{Malformed::Type};
      out.ids.push_back(static_cast<std::int32_t>(id));
    }
  }

  // A string, or the text parts of a content list ("text", "input_text", "output_text").
  void add_content(const Element& content, Record& out) {
    std::string_view text;
    if (content.get_string().get(text) == simdjson::SUCCESS) return out.texts.push_back(text);
    Array parts;
    if (content.get_array().get(parts) != simdjson::SUCCESS) throw BadRecord{Malformed::Type};
    for (const Element part : parts) {
      if (part.get_string().get(text) == simdjson::SUCCESS) {
        out.texts.push_back(text);
      } else if (string_at(part, "/type").ends_with("text")) {
        if (part.at_pointer("/text").get_string().get(text) != simdjson::SUCCESS)
          throw BadRecord{Malformed::Type};
        out.texts.push_back(text);
      }
    }
  }

  // The turns that are profiled; false when there is none.
  bool add_messages(const Array& messages, Record& out) {
    bool any = false;
    for (const Element message : messages) {
      if (!message.is_object()) throw BadRecord{Malformed::Type};
      const std::string_view role = string_at(message, "/role");
      const bool wanted = options.side == Side::Output
                              ? role == "assistant"
                              : role == "user" || (options.keep_system &&
                                                   (role == "system" || role == "developer"));
      if (!wanted) continue;
      any = any || role == "user" || role == "assistant";
      if (const std::optional<Element> content = at(message, "/content"))
        add_content(*content, out);
    }
    return any;
  }

  // A field that may be a string, a list of strings, messages or ids.
  bool add_value(const Element& value, Record& out) {
    Array array;
    if (options.ids) {
      if (value.get_array().get(array) != simdjson::SUCCESS) throw BadRecord{Malformed::Type};
      add_ids(array, out);
      return true;
    }
    if (value.get_array().get(array) != simdjson::SUCCESS || array.size() == 0) {
      add_content(value, out);
      return true;
    }
    const Element first = *array.begin();
    if (first.is_object() && !string_at(first, "/role").empty()) return add_messages(array, out);
    if (first.is_int64()) {
      add_ids(array, out);
      return true;
    }
    add_content(value, out);
    return true;
  }

  bool add_choices(const Element& root, Record& out) {
    const std::optional<Element> choices = at(root, "/choices");
    Array array;
    if (!choices || choices->get_array().get(array) != simdjson::SUCCESS) return false;
    for (const Element choice : array) {
      if (const auto content = at(choice, "/message/content")) {
        add_content(*content, out);
      } else if (const auto text = at(choice, "/text")) {
        add_content(*text, out);
      } else {
        out.texts.emplace_back();  // a tool call, or nothing at all
      }
      if (out.finish_reason.empty()) out.finish_reason = string_at(choice, "/finish_reason");
      out.refused = out.refused || !string_at(choice, "/message/refusal").empty();
    }
    return !out.texts.empty();
  }

  // A request body or a batch line around one; a response body or a batch result around one.
  bool add_openai(const Element& root, Record& out) {
    Element body = root;
    if (options.side == Side::Output) {
      if (const auto inner = at(root, "/response/body")) {
        body = *inner;
      } else if (const auto response = at(root, "/response")) {
        body = *response;
      }
      if (add_choices(body, out)) return true;
    } else if (const auto inner = at(root, "/body")) {
      body = *inner;
    }
    for (const char* pointer : {"/messages", "/prompt", "/input"}) {
      if (options.side == Side::Output && pointer != std::string_view("/messages")) continue;
      if (const auto value = at(body, pointer)) return add_value(*value, out);
    }
    return false;
  }

  bool add_jsonl(const Element& root, Record& out) {
    const bool output = options.side == Side::Output;
    if (output) {
      const std::string& pointer = options.finish_field;
      out.finish_reason =
          string_at(root, pointer.empty() ? "/finish_reason" : std::string_view(pointer));
    }
    const std::string_view own = options.ids ? "/ids" : output ? "/output" : "/prompt";
    const std::string_view pointer = options.field.empty() ? own : std::string_view(options.field);
    if (const auto value = at(root, pointer)) return add_value(*value, out);
    if (!options.field.empty() || options.ids) return false;
    const auto messages = at(root, "/messages");
    Array array;
    if (messages && messages->get_array().get(array) == simdjson::SUCCESS)
      return add_messages(array, out);
    return output && add_choices(root, out);
  }

  // Log lines of the server, plain or in its JSON formatter; else what `vllm run-batch` reads and
  // writes.
  Outcome add_vllm(std::string_view line, Record& out, std::optional<Element>& root) {
    std::string_view message = line;
    if (line.starts_with('{')) {
      root = document(line);
      const auto inner = at(*root, "/message");
      if (!inner)
        return add_openai(*root, out) ? Outcome::Good : throw BadRecord{Malformed::MissingField};
      if (inner->get_string().get(message) != simdjson::SUCCESS) throw BadRecord{Malformed::Type};
    } else if (!text::is_valid_utf8(line)) {
      throw BadRecord{kind_of(simdjson::UTF8_ERROR, line)};
    }
    std::optional<VllmMessage> found = parse_vllm_message(message, options.side);
    if (!found) return Outcome::Skip;
    vllm = std::move(*found);
    out.has_ids = vllm.has_ids;
    out.ids = vllm.ids;
    if (!out.has_ids) out.texts.push_back(vllm.text);
    out.finish_reason = vllm.finish_reason;
    return Outcome::Good;
  }

  void add_features(const std::optional<Element>& root, Record& out) {
    for (const FeatureField& field : options.features) {
      FeatureValue value;
      const std::optional<Element> found = root ? at(*root, field.pointer) : std::nullopt;
      if (found) {
        std::string_view text;
        const bool is_text = found->get_string().get(text) == simdjson::SUCCESS;
        const bool is_scalar = !found->is_object() && !found->is_array();
        value.value = is_text ? std::string(text) : is_scalar ? simdjson::minify(*found) : "";
        const bool fits = (is_text || is_scalar) && value.value.size() <= kMaxValueBytes;
        value.kind = fits ? FeatureValue::Kind::Value : FeatureValue::Kind::Other;
      }
      out.features.push_back(std::move(value));
    }
  }
};

RecordParser::RecordParser(RecordOptions options) : impl_(std::make_unique<Impl>()) {
  impl_->options = std::move(options);
}
RecordParser::~RecordParser() = default;
RecordParser::RecordParser(RecordParser&&) noexcept = default;

RecordParser::Outcome RecordParser::parse(std::string_view line, Record& out, Malformed& why) {
  out.texts.clear();
  out.ids.clear();
  out.has_ids = out.refused = false;
  out.finish_reason = {};
  out.features.clear();
  try {
    std::optional<Element> root;
    const RecordOptions& options = impl_->options;
    Outcome outcome = Outcome::Good;
    if (options.format == LogFormat::Vllm && options.field.empty()) {
      outcome = impl_->add_vllm(line, out, root);
    } else {
      root = impl_->document(line);
      if (!root->is_object()) throw BadRecord{Malformed::Type};
      const bool own_field = options.format == LogFormat::Jsonl || !options.field.empty();
      const bool found = own_field ? impl_->add_jsonl(*root, out) : impl_->add_openai(*root, out);
      if (!found) throw BadRecord{Malformed::MissingField};
    }
    if (outcome == Outcome::Good) impl_->add_features(root, out);
    return outcome;
  } catch (const BadRecord& bad) {
    why = bad.why;
    return Outcome::Bad;
  }
}

std::optional<std::string> RecordParser::cluster_of(std::string_view line, Malformed& why) {
  try {
    const Element root = impl_->document(line);
    const std::optional<Element> found = at(root, impl_->options.cluster);
    if (!found) throw BadRecord{Malformed::MissingField};
    if (found->is_object() || found->is_array()) throw BadRecord{Malformed::Type};
    return simdjson::minify(*found);
  } catch (const BadRecord& bad) {
    why = bad.why;
    return std::nullopt;
  }
}

}  // namespace loraproof::drift
