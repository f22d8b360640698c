// SPDX-License-Identifier: Apache-2.0
#include "loraproof/core/json.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <unordered_set>
#include <utility>
#include <vector>

#include "loraproof/core/file.h"

namespace loraproof {
namespace {

std::string line_and_column(std::string_view text, std::size_t byte) {
  std::size_t line = 1, column = 1;
  for (std::size_t i = 0; i < byte && i < text.size(); ++i) {
    column = text[i] == '\n' ? 1 : column + 1;
    line += text[i] == '\n' ? 1 : 0;
  }
  return fmt::format("line {}, column {}", line, column);
}

// Builds the document from nlohmann's SAX events, because its own builder lets a second value for a
// key and nesting without end pass, and looks each key of an ordered object up by scanning.
class StrictBuilder {
 public:
  StrictBuilder(Json& root, std::string_view text, std::string_view file, int max_depth)
      : root_(&root), text_(text), file_(file), max_depth_(max_depth) {}

  bool null() { return scalar(nullptr); }
  bool boolean(bool value) { return scalar(value); }
  bool number_integer(Json::number_integer_t value) { return scalar(value); }
  bool number_unsigned(Json::number_unsigned_t value) { return scalar(value); }
  bool number_float(Json::number_float_t value, const std::string&) { return scalar(value); }
  bool string(std::string& value) { return scalar(std::move(value)); }
  bool binary(Json::binary_t&) { return false; }  // not in JSON text

  bool start_object(std::size_t) {
    open(Json::value_t::object);
    keys_.emplace_back();
    return true;
  }
  bool end_object() {
    keys_.pop_back();
    return close();
  }
  bool start_array(std::size_t) {
    open(Json::value_t::array);
    return true;
  }
  bool end_array() { return close(); }

  bool key(std::string& name) {
    if (!keys_.back().insert(name).second) {
      throw input_error({.message = fmt::format("duplicate key {}", brief(Json(name))),
                         .file = std::string(file_),
                         .hint = "each key may stand once in an object"});
    }
    pending_key_ = std::move(name);
    return true;
  }

  bool parse_error(std::size_t byte, const std::string&, const Json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ..."
    std::string reason = error.what();
    if (const auto bracket = reason.find("] "); bracket != std::string::npos) {
      reason.erase(0, bracket + 2);
    }
    if (const auto colon = reason.find(": ");
        reason.starts_with("parse error at") && colon != std::string::npos) {
      reason.erase(0, colon + 2);
    }
    // The text read last is quoted whole, however long it is and whatever bytes are in it.
    if (const auto last = reason.find("last read: '"); last != std::string::npos) {
      reason = reason.substr(0, last) + "last read: " + brief(Json(reason.substr(last + 11)), 60);
    }
    throw input_error({.message = "not valid JSON: " + reason,
                       .file = std::string(file_),
                       .where = line_and_column(text_, byte == 0 ? 0 : byte - 1)});
  }

 private:
  template <typename Value>
  Json* place(Value&& value) {
    if (stack_.empty()) {
      *root_ = Json(std::forward<Value>(value));
      return root_;
    }
    Json& parent = *stack_.back();
    if (parent.is_array()) {
      auto& items = parent.get_ref<Json::array_t&>();
      items.emplace_back(std::forward<Value>(value));
      return &items.back();
    }
    // Appending keeps an object of 100k keys linear; key() refused duplicates.
    auto& members = parent.get_ref<Json::object_t&>();
    members.push_back({std::move(pending_key_), Json(std::forward<Value>(value))});
    return &members.back().second;
  }

  template <typename Value>
  bool scalar(Value&& value) {
    place(std::forward<Value>(value));
    return true;
  }

  void open(Json::value_t type) {
    if (static_cast<int>(stack_.size()) >= max_depth_) {
      throw input_error({.message = "JSON is nested too deeply",
                         .file = std::string(file_),
                         .expected = fmt::format("at most {} levels", max_depth_)});
    }
    stack_.push_back(place(type));
  }
  bool close() {
    stack_.pop_back();
    return true;
  }

  Json* root_;
  std::string_view text_;
  std::string_view file_;
  int max_depth_;
  std::string pending_key_;
  std::vector<Json*> stack_;
  std::vector<std::unordered_set<std::string>> keys_;
};

std::string found_text(const Json& value) {
  return fmt::format("{} {}", value.type_name(), brief(value, 60));
}

}  // namespace

Json parse_json(std::string_view text, std::string_view file, JsonLimits limits) {
  if (text.size() > limits.max_bytes) {
    throw input_error({.message = "JSON text is too long",
                       .file = std::string(file),
                       .expected = fmt::format("at most {} bytes", limits.max_bytes),
                       .found = fmt::format("{} bytes", text.size())});
  }
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  // nlohmann takes a NUL byte for the end of the text: what stands behind it would pass unread.
  if (const auto nul = text.find('\0'); nul != text.npos) {
    throw input_error({.message = "not valid JSON: NUL byte",
                       .file = std::string(file),
                       .where = line_and_column(text, nul)});
  }
  Json root;
  StrictBuilder builder(root, text, file, limits.max_depth);
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) {
    throw internal_error({.message = "the JSON parser stopped", .file = std::string(file)});
  }
  return root;
}

Json read_json_file(const std::filesystem::path& path, JsonLimits limits) {
  return parse_json(read_text_file(path, limits.max_bytes), path.string(), limits);
}

std::string brief(const Json& value, std::size_t max_chars) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > max_chars) {
    std::size_t cut = max_chars > 3 ? max_chars - 3 : 0;
    while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;
    text = text.substr(0, cut) + "...";
  }
  return text;
}

JsonObject::JsonObject(const Json& value, std::string_view file, std::string pointer)
    : value_(&value), file_(file), pointer_(std::move(pointer)) {
  if (!value.is_object()) {
    throw input_error({.message = "wrong type",
                       .file = file_,
                       .where = pointer_.empty() ? "/" : pointer_,
                       .expected = "an object",
                       .found = found_text(value)});
  }
}

std::string JsonObject::pointer_to(std::string_view key) const {
  std::string escaped;  // RFC 6901
  for (char c : key) {
    if (c == '~')
      escaped += "~0";
    else if (c == '/')
      escaped += "~1";
    else
      escaped += c;
  }
  return pointer_ + "/" + escaped;
}

const Json* JsonObject::find(std::string_view key) const {
  const auto& members = value_->get_ref<const Json::object_t&>();
  for (const auto& [name, value] : members) {
    if (name == key) return value.is_null() ? nullptr : &value;
  }
  return nullptr;
}

bool JsonObject::has(std::string_view key) const { return find(key) != nullptr; }

namespace {

// "adapter_config.use_qalora" of that field in a file of that name; empty where they are no words.
std::string field_id(const std::string& file, std::string_view key) {
  const std::string stem = std::filesystem::path(file).stem().string();
  const auto is_name = [](std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    });
  };
  if (!is_name(stem) || !is_name(key)) return "";
  return stem + "." + std::string(key);
}

}  // namespace

Error JsonObject::error(std::string_view key, std::string message, std::string expected,
                        std::string found, std::string hint) const {
  return input_error({.id = field_id(file_, key),
                      .message = std::move(message),
                      .file = file_,
                      .where = pointer_to(key),
                      .expected = std::move(expected),
                      .found = std::move(found),
                      .hint = std::move(hint)});
}

namespace {

const Json& require(const JsonObject& object, std::string_view key) {
  const Json* value = object.find(key);
  if (value == nullptr) throw object.error(key, "required key is missing");
  return *value;
}

template <typename T>
T typed(const JsonObject& object, std::string_view key, const Json& value, bool right_type,
        const char* expected) {
  if (!right_type) throw object.error(key, "wrong type", expected, found_text(value));
  return value.get<T>();
}

bool is_int64(const Json& value) {
  if (value.is_number_unsigned()) return value.get<std::uint64_t>() <= INT64_MAX;
  return value.is_number_integer();
}

}  // namespace

std::string JsonObject::string(std::string_view key) const {
  const Json& value = require(*this, key);
  return typed<std::string>(*this, key, value, value.is_string(), "a string");
}
std::int64_t JsonObject::integer(std::string_view key) const {
  const Json& value = require(*this, key);
  return typed<std::int64_t>(*this, key, value, is_int64(value), "an integer");
}
double JsonObject::number(std::string_view key) const {
  const Json& value = require(*this, key);
  return typed<double>(*this, key, value, value.is_number(), "a number");
}
bool JsonObject::boolean(std::string_view key) const {
  const Json& value = require(*this, key);
  return typed<bool>(*this, key, value, value.is_boolean(), "true or false");
}
JsonObject JsonObject::object(std::string_view key) const {
  return {require(*this, key), file_, pointer_to(key)};
}

std::string JsonObject::string_or(std::string_view key, std::string_view fallback) const {
  return has(key) ? string(key) : std::string(fallback);
}
std::int64_t JsonObject::integer_or(std::string_view key, std::int64_t fallback) const {
  return has(key) ? integer(key) : fallback;
}
double JsonObject::number_or(std::string_view key, double fallback) const {
  return has(key) ? number(key) : fallback;
}
bool JsonObject::boolean_or(std::string_view key, bool fallback) const {
  return has(key) ? boolean(key) : fallback;
}

}  // namespace loraproof
