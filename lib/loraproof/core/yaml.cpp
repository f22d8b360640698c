// SPDX-License-Identifier: Apache-2.0
#include "loraproof/core/yaml.h"

#include <charconv>
#include <fmt/format.h>
#include <sstream>
#include <unordered_set>
#include <utility>
#include <vector>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "loraproof/core/file.h"
#include "loraproof/core/json.h"

namespace loraproof {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{4} << 20;
constexpr std::size_t kMaxDepth = 32;

std::string place_of(const YAML::Mark& mark) {
  return fmt::format("line {}, column {}", mark.line + 1, mark.column + 1);
}

// null, bool, decimal integer and number of the YAML 1.2 core schema; anything else is a string.
Json plain_scalar(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL")
    return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  if (text.starts_with("+-")) return text;  // from_chars takes no plus, but the minus behind it
  const char* begin = text.data() + (text[0] == '+' ? 1 : 0);
  const char* end = text.data() + text.size();
  std::int64_t integer = 0;
  if (const auto [rest, code] = std::from_chars(begin, end, integer);
      code == std::errc() && rest == end) {
    return integer;
  }
  const bool numeric = text.find_first_not_of("0123456789+-.eE") == std::string::npos;
  double number = 0;
  if (const auto [rest, code] = std::from_chars(begin, end, number);
      numeric && code == std::errc() && rest == end) {
    return number;
  }
  return text;
}

// Builds Json straight from yaml-cpp's events: aliases, duplicate keys and depth are seen as they
// come.
class Builder : public YAML::EventHandler {
 public:
  explicit Builder(std::string_view file) : file_(file) {}
  Json take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    value(mark, anchor, nullptr);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw error(mark, "aliases are not supported here", "write the value out");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    // yaml-cpp tags a quoted scalar "!" and a plain one "?".
    value(mark, anchor, tag == "?" ? plain_scalar(text) : Json(text), &text);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, anchor, Json::array());
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, anchor, Json::object());
  }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    Json value;
    bool has_key = false;
    std::string key;
    std::unordered_set<std::string> keys;
  };

  [[nodiscard]] Error error(const YAML::Mark& mark, std::string message,
                            std::string hint = "") const {
    return input_error({.message = std::move(message),
                        .file = file_,
                        .where = place_of(mark),
                        .hint = std::move(hint)});
  }

  void value(const YAML::Mark& mark, YAML::anchor_t, Json json,
             const std::string* scalar = nullptr) {
    if (frames_.empty()) {
      root_ = std::move(json);
      return;
    }
    Frame& frame = frames_.back();
    if (frame.value.is_array()) {
      frame.value.push_back(std::move(json));
    } else if (frame.has_key) {
      // Appending keeps a large map linear; duplicates were refused with the key.
      frame.value.get_ref<Json::object_t&>().push_back({frame.key, std::move(json)});
      frame.has_key = false;
    } else {
      if (scalar == nullptr) throw error(mark, "a key must be a plain or quoted string");
      if (!frame.keys.insert(*scalar).second) {
        throw error(mark, fmt::format("duplicate key {}", brief(Json(*scalar))));
      }
      frame.key = *scalar;
      frame.has_key = true;
    }
  }

  void open(const YAML::Mark& mark, YAML::anchor_t, Json empty) {
    if (!frames_.empty() && frames_.back().value.is_object() && !frames_.back().has_key) {
      throw error(mark, "a key must be a plain or quoted string");
    }
    if (frames_.size() >= kMaxDepth) {
      throw error(mark, fmt::format("nested deeper than {} levels", kMaxDepth));
    }
    frames_.push_back({.value = std::move(empty)});
  }

  void close() {
    Json done = std::move(frames_.back().value);
    frames_.pop_back();
    value({}, 0, std::move(done));
  }

  std::string file_;
  Json root_;
  std::vector<Frame> frames_;
};

// yaml-cpp 0.7 recurses once per level of flow nesting before any event is seen, so a bound on the
// brackets in the text protects its stack.
void check_nesting(std::string_view text, std::string_view file) {
  std::size_t open = 0;
  for (char c : text) {
    if (c == '[' || c == '{') ++open;
    if ((c == ']' || c == '}') && open > 0) --open;
    if (open > 8 * kMaxDepth) {
      throw input_error({.message = fmt::format("nested deeper than {} levels", kMaxDepth),
                         .file = std::string(file)});
    }
  }
}

// yaml-cpp passes bytes on as they are, and a Json with a broken string can't be written again.
void check_utf8(std::string_view text, std::string_view file) {
  try {
    (void)Json(std::string(text)).dump();
  } catch (const Json::type_error&) {
    throw input_error({.message = "YAML text is not UTF-8", .file = std::string(file)});
  }
}

}  // namespace

Json parse_yaml(std::string_view text, std::string_view file) {
  if (text.size() > kMaxBytes) {
    throw input_error({.message = "YAML text is too long",
                       .file = std::string(file),
                       .expected = fmt::format("at most {} bytes", kMaxBytes),
                       .found = fmt::format("{} bytes", text.size())});
  }
  check_utf8(text, file);
  check_nesting(text, file);
  std::istringstream stream{std::string(text)};
  try {
    YAML::Parser parser(stream);
    Builder builder(file);
    if (!parser.HandleNextDocument(builder)) return nullptr;
    Builder second(file);
    if (parser.HandleNextDocument(second)) {
      throw input_error({.message = "holds several YAML documents",
                         .file = std::string(file),
                         .expected = "one"});
    }
    return builder.take();
  } catch (const YAML::Exception& error) {
    throw input_error({.message = "not valid YAML: " + error.msg,
                       .file = std::string(file),
                       .where = place_of(error.mark)});
  }
}

Json read_yaml_file(const std::filesystem::path& path) {
  return parse_yaml(read_text_file(path, kMaxBytes), path.string());
}

}  // namespace loraproof
