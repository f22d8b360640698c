// SPDX-License-Identifier: Apache-2.0
// str(), repr() and json.dumps() of values.
#include "loraproof/text/jinja/print.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "loraproof/text/jinja/unicode.h"
#include "loraproof/text/jinja/value.h"

namespace loraproof::text::jinja {
namespace {

constexpr char kHex[] = "0123456789abcdef";

void append_hex(std::string& out, char32_t value, int digits) {
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4)
    out.push_back(kHex[(value >> shift) & 15]);
}

void check_size(const std::string& out) {
  if (out.size() > Limits::kString) fail_limit("a string of the template grows too long");
}

void append_repr(std::string& out, const Value& v);

void append_joined(std::string& out, const Value::Items& items) {
  bool first = true;
  for (const Value& item : items) {
    if (!first) out += ", ";
    first = false;
    append_repr(out, item);
  }
}

void append_pairs(std::string& out, const Value::Pairs& pairs) {
  out += "{";
  bool first = true;
  for (const auto& [key, value] : pairs) {
    if (!first) out += ", ";
    first = false;
    append_repr(out, key);
    out += ": ";
    append_repr(out, value);
  }
  out += "}";
}

void append_range(std::string& out, const RangeNode& r) {
  out.append("range(").append(std::to_string(r.start)).append(", ").append(std::to_string(r.stop));
  if (r.step != 1) out.append(", ").append(std::to_string(r.step));
  out += ")";
}

void append_namespace(std::string& out, const NamespaceNode& node) {
  for (const auto& [key, value] : node.pairs) {
    if (value.is(Kind::Namespace)) fail_unsupported("printing a namespace that holds a namespace");
    const auto kind = value.kind();
    const bool plain = kind < Kind::List || kind == Kind::Range;
    if (!plain) fail_unsupported("printing a namespace that holds a " + value.type_name());
  }
  out += "<Namespace ";
  append_pairs(out, node.pairs);
  out += ">";
}

void append_repr(std::string& out, const Value& v) {
  check_size(out);
  switch (v.kind()) {
    case Kind::Undefined: out += "Undefined"; return;
    case Kind::String:
      if (v.is_markup()) fail_unsupported("the repr of escaped text");
      out += repr_string(v.text());
      return;
    case Kind::List:
      out += "[";
      append_joined(out, v.items());
      out += "]";
      return;
    case Kind::Tuple:
      out += "(";
      append_joined(out, v.items());
      out += v.items().size() == 1 ? ",)" : ")";
      return;
    case Kind::Dict: append_pairs(out, v.pairs()); return;
    case Kind::View:
      out += v.type_name() + "([";
      append_joined(out, v.items());
      out += "])";
      return;
    case Kind::Range: append_range(out, static_cast<const RangeNode&>(*v.node())); return;
    case Kind::Namespace:
      append_namespace(out, static_cast<const NamespaceNode&>(*v.node()));
      return;
    case Kind::Generator:
    case Kind::Callable:
    case Kind::Loop:
      // Python prints an address here, which no two runs share.
      fail_unsupported("printing a " + v.type_name());
    default: out += to_text(v); return;
  }
}

void append_json_string(std::string& out, std::string_view text, bool ensure_ascii) {
  out.push_back('"');
  for (const char32_t c : decode(text)) {
    switch (c) {
      case '"': out += "\\\""; continue;
      case '\\': out += "\\\\"; continue;
      case '\n': out += "\\n"; continue;
      case '\r': out += "\\r"; continue;
      case '\t': out += "\\t"; continue;
      case '\b': out += "\\b"; continue;
      case '\f': out += "\\f"; continue;
      default: break;
    }
    if (c >= 0x20 && (c < 0x7F || !ensure_ascii)) {
      append_point(out, c);
    } else if (c < 0x10000) {
      out += "\\u";
      append_hex(out, c, 4);
    } else {
      out += "\\u";
      append_hex(out, 0xD800 + ((c - 0x10000) >> 10), 4);
      out += "\\u";
      append_hex(out, 0xDC00 + ((c - 0x10000) & 0x3FF), 4);
    }
  }
  out.push_back('"');
}

std::string json_float(double d) {
  if (std::isnan(d)) return "NaN";
  if (std::isinf(d)) return d > 0 ? "Infinity" : "-Infinity";
  return repr_float(d);
}

class JsonWriter {
 public:
  explicit JsonWriter(const JsonStyle& style) : style_(style) {}
  std::string out;

  void write(const Value& v, int level) {
    check_size(out);
    switch (v.kind()) {
      case Kind::None: out += "null"; return;
      case Kind::Bool: out += v.as_int() != 0 ? "true" : "false"; return;
      case Kind::Int: out += std::to_string(v.as_int()); return;
      case Kind::Float: out += json_float(v.as_double()); return;
      case Kind::String: append_json_string(out, v.text(), style_.ensure_ascii); return;
      case Kind::List:
      case Kind::Tuple: write_items(v.items(), level); return;
      case Kind::Dict: write_pairs(v.pairs(), level); return;
      default: fail("Object of type " + v.type_name() + " is not JSON serializable");
    }
  }

 private:
  void newline(int level) {
    if (!style_.indent) return;
    out.push_back('\n');
    for (int i = 0; i < level; ++i) out += *style_.indent;
    check_size(out);
  }

  void write_items(const Value::Items& items, int level) {
    out.push_back('[');
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i != 0) out += style_.item_separator;
      newline(level + 1);
      write(items[i], level + 1);
    }
    if (!items.empty()) newline(level);
    out.push_back(']');
  }

  void write_pairs(const Value::Pairs& pairs, int level) {
    std::vector<const std::pair<Value, Value>*> order_of;
    for (const auto& pair : pairs) order_of.push_back(&pair);
    if (style_.sort_keys) {
      std::stable_sort(order_of.begin(), order_of.end(), [](const auto* a, const auto* b) {
        return order(a->first, b->first, "<") == -1;
      });
    }
    out.push_back('{');
    bool first = true;
    for (const auto* pair : order_of) {
      if (!first) out += style_.item_separator;
      first = false;
      newline(level + 1);
      write_key(pair->first);
      out += style_.key_separator;
      write(pair->second, level + 1);
    }
    if (!pairs.empty()) newline(level);
    out.push_back('}');
  }

  void write_key(const Value& key) {
    switch (key.kind()) {
      case Kind::String: append_json_string(out, key.text(), style_.ensure_ascii); return;
      case Kind::None: out += "\"null\""; return;
      case Kind::Bool: out += key.as_int() != 0 ? "\"true\"" : "\"false\""; return;
      case Kind::Int:
        out.append(1, '"').append(std::to_string(key.as_int())).append(1, '"');
        return;
      case Kind::Float:
        out.append(1, '"').append(json_float(key.as_double())).append(1, '"');
        return;
      default: fail("keys must be str, int, float, bool or None, not " + key.type_name());
    }
  }

  const JsonStyle& style_;
};

}  // namespace

std::string repr_float(double d) {
  if (std::isnan(d)) return "nan";
  if (std::isinf(d)) return d > 0 ? "inf" : "-inf";
  // Shortest digits that read back as d, then laid out as float.__repr__ does.
  char buffer[64];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, d, std::chars_format::scientific).ptr;
  const std::string_view text(buffer, static_cast<std::size_t>(end - buffer));
  const auto e = text.find('e');
  const bool negative = text[0] == '-';
  std::string digits;
  for (const char c : text.substr(0, e)) {
    if (c != '.' && c != '-') digits.push_back(c);
  }
  const int exponent = std::stoi(std::string(text.substr(e + 1)));
  std::string out = negative ? "-" : "";
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (digits.size() > 1) out.append(1, '.').append(digits, 1);
    const std::string power = std::to_string(std::abs(exponent));
    return out + "e" + (exponent < 0 ? "-" : "+") + (power.size() < 2 ? "0" : "") + power;
  }
  if (exponent < 0) {
    return out + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  }
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) return out + digits + std::string(whole - digits.size(), '0') + ".0";
  return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

std::string repr_string(std::string_view text) {
  const bool single = text.find('\'') != std::string_view::npos;
  const char quote = single && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  for (const char32_t c : decode(text)) {
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      out.push_back('\\');
      append_point(out, c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (is_printable(c)) {
      append_point(out, c);
    } else {
      out += c <= 0xFF ? "\\x" : c <= 0xFFFF ? "\\u" : "\\U";
      append_hex(out, c, c <= 0xFF ? 2 : c <= 0xFFFF ? 4 : 8);
    }
  }
  out.push_back(quote);
  return out;
}

std::string to_text(const Value& v) {
  switch (v.kind()) {
    case Kind::Undefined: return "";
    case Kind::None: return "None";
    case Kind::Bool: return v.as_int() != 0 ? "True" : "False";
    case Kind::Int: return std::to_string(v.as_int());
    case Kind::Float: return repr_float(v.as_double());
    case Kind::String: return v.text();
    default: return to_repr(v);
  }
}

std::string to_repr(const Value& v) {
  std::string out;
  append_repr(out, v);
  check_size(out);
  return out;
}

std::string to_json(const Value& value, const JsonStyle& style) {
  JsonWriter writer(style);
  writer.write(value, 0);
  check_size(writer.out);
  return std::move(writer.out);
}

}  // namespace loraproof::text::jinja
