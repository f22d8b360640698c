// SPDX-License-Identifier: Apache-2.0
// Filters on single values, and the list of those that Jinja has and we refuse.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <set>

#include "loraproof/text/jinja/operators.h"
#include "loraproof/text/jinja/print.h"
#include "loraproof/text/jinja/tables.h"
#include "loraproof/text/jinja/unicode.h"

namespace loraproof::text::jinja {
namespace {

/// Escaped text escapes what is added to it; these filters do not follow it that far.
void refuse_markup(const Value& v, const char* filter) {
  if (v.is_markup()) fail_unsupported(std::string("the filter '") + filter + "' on escaped text");
}

bool given(const std::optional<Value>& v) { return v && !v->is(Kind::None); }

Value do_default(Evaluator&, const Value& v, const Args& args) {
  const auto a = bind("default", args, {"default_value", "boolean"}, 0);
  const bool use = v.is(Kind::Undefined) || (a[1] && a[1]->truthy() && !v.truthy());
  return use ? a[0].value_or(Value::string("")) : v;
}

Value do_tojson(Evaluator&, const Value& v, const Args& args) {
  const auto a = bind("tojson", args, {"ensure_ascii", "indent", "separators", "sort_keys"}, 0);
  JsonStyle style;
  style.ensure_ascii = a[0] && a[0]->truthy();
  style.sort_keys = a[3] && a[3]->truthy();
  if (given(a[1])) {
    style.indent =
        a[1]->is(Kind::String)
            ? a[1]->text()
            : std::string(
                  static_cast<std::size_t>(std::clamp<std::int64_t>(integer_of(*a[1]), 0, 1000)),
                  ' ');
    style.item_separator.assign(1, ',');
  }
  if (given(a[2])) {
    const auto parts = a[2]->iterate();
    if (parts.size() != 2) fail("tojson: separators must be two strings");
    style.item_separator = string_of(parts[0]);
    style.key_separator = string_of(parts[1]);
  }
  return Value::string(to_json(v, style));
}

Value do_string(Evaluator&, const Value& v, const Args& args) {
  no_arguments("string", args);
  return v.is(Kind::String) ? v : Value::string(to_text(v));
}

Value do_trim(Evaluator&, const Value& v, const Args& args) {
  const auto a = bind("trim", args, {"chars"}, 0);
  const std::string text = to_text(v);
  const std::string_view rest =
      given(a[0]) ? strip(text, string_of(*a[0]), true, true) : strip(text, true, true);
  return Value::string(std::string(rest), v.is_markup());
}

template <std::string (*kConvert)(std::string_view)>
Value do_convert(Evaluator&, const Value& v, const Args& args) {
  no_arguments("case filter", args);
  return Value::string(kConvert(to_text(v)), v.is_markup());
}

/// Jinja's own title: a word begins after a hyphen, white space or an opening bracket.
Value do_title(Evaluator&, const Value& v, const Args& args) {
  no_arguments("title", args);
  const auto separates = [](char32_t c) {
    return c == '-' || is_space(c) || c == '(' || c == '{' || c == '[' || c == '<';
  };
  std::string out;
  std::u32string word;
  const auto flush = [&] {
    if (word.empty()) return;
    out += to_upper(encode(word.substr(0, 1))) + to_lower(encode(word.substr(1)));
    word.clear();
  };
  for (const char32_t c : decode(to_text(v))) {
    if (separates(c)) {
      flush();
      append_point(out, c);
    } else {
      word.push_back(c);
    }
  }
  flush();
  return Value::string(std::move(out));
}

Value do_replace(Evaluator& e, const Value& v, const Args& args) {
  const auto a = bind("replace", args, {"old", "new", "count"}, 2);
  const std::string text = to_text(v);
  e.step(text.size() / 256);
  return Value::string(
      replace_text(text, to_text(*a[0]), to_text(*a[1]), given(a[2]) ? integer_of(*a[2]) : -1));
}

Value do_indent(Evaluator& e, const Value& v, const Args& args) {
  const auto a = bind("indent", args, {"width", "first", "blank"}, 0);
  refuse_markup(v, "indent");
  const std::string text = string_of(v) + "\n";
  e.step(text.size() / 16);
  BoundedText unit;
  if (a[0] && a[0]->is(Kind::String)) {
    unit.add(a[0]->text());
  } else {
    unit.repeat(" ", a[0] ? integer_of(*a[0]) : 4);
  }
  const std::string indention = unit.take();
  const bool blank = a[2] && a[2]->truthy();
  BoundedText out;
  if (a[1] && a[1]->truthy()) out.add(indention);
  bool first = true;
  for (const auto& line : split_lines(text, false)) {
    if (!first) {
      out.add("\n");
      if (blank || !line.empty()) out.add(indention);
    }
    first = false;
    out.add(line);
  }
  return Value::string(out.take());
}

Value do_truncate(Evaluator&, const Value& v, const Args& args) {
  const auto a = bind("truncate", args, {"length", "killwords", "end", "leeway"}, 0);
  refuse_markup(v, "truncate");
  const std::int64_t length = a[0] ? integer_of(*a[0]) : 255;
  const auto end = decode(a[2] ? string_of(*a[2]) : "...");
  const std::int64_t leeway = given(a[3]) ? integer_of(*a[3]) : 5;
  const auto keep = length - static_cast<std::int64_t>(end.size());
  if (keep < 0) fail("truncate: expected length >= " + std::to_string(end.size()));
  if (leeway < 0) fail("truncate: expected leeway >= 0");
  const auto text = decode(string_of(v));
  if (static_cast<std::int64_t>(text.size()) <= length + leeway) return v;
  auto cut = text.substr(0, static_cast<std::size_t>(keep));
  if (!(a[1] && a[1]->truthy())) cut = cut.substr(0, cut.rfind(U' '));
  return Value::string(encode(cut) + encode(end));
}

Value do_center(Evaluator& e, const Value& v, const Args& args) {
  const auto a = bind("center", args, {"width"}, 0);
  refuse_markup(v, "center");
  const Value text = Value::string(to_text(v));
  return e.call(*string_method(text, "center"), {{a[0].value_or(Value::integer(80))}, {}});
}

Value do_wordcount(Evaluator&, const Value& v, const Args& args) {
  no_arguments("wordcount", args);
  std::int64_t count = 0;
  bool inside = false;
  for (const char32_t c : decode(to_text(v))) {
    const bool word = c == '_' || is_alnum(c);
    if (word && !inside) ++count;
    inside = word;
  }
  return Value::integer(count);
}

Value escape_text(const std::string& text) { return Value::string(escape_html(text), true); }

Value do_escape(Evaluator&, const Value& v, const Args& args) {
  no_arguments("escape", args);
  return v.is_markup() ? v : escape_text(to_text(v));
}

Value do_forceescape(Evaluator&, const Value& v, const Args& args) {
  no_arguments("forceescape", args);
  return escape_text(to_text(v));
}

Value do_safe(Evaluator&, const Value& v, const Args& args) {
  no_arguments("safe", args);
  return Value::string(to_text(v), true);
}

Value do_format(Evaluator&, const Value& v, const Args& args) {
  refuse_markup(v, "format");
  if (!args.positional.empty() && !args.named.empty()) {
    fail("format: positional and keyword arguments cannot be mixed");
  }
  Value::Pairs pairs;
  for (const auto& [name, value] : args.named) pairs.emplace_back(Value::string(name), value);
  return Value::string(percent_format(to_text(v), args.named.empty()
                                                      ? Value::tuple(args.positional)
                                                      : Value::dict(std::move(pairs))));
}

/// Digits with Python's underscores taken out; nothing when one stands in a wrong place.
std::optional<std::string> plain_digits(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out.push_back(text[i]);
      continue;
    }
    const auto digit = [&](std::size_t k) {
      return k < text.size() && std::isalnum(static_cast<unsigned char>(text[k])) != 0;
    };
    if (i == 0 || !digit(i - 1) || !digit(i + 1)) return std::nullopt;
  }
  return out;
}

std::optional<double> parse_float(const std::string& source) {
  const auto text = plain_digits(strip(source, true, true));
  if (!text || text->empty()) return std::nullopt;
  for (const char32_t c : decode(*text)) {
    if (c >= 0x80 && is_decimal(c)) fail_unsupported("numbers in digits other than 0 to 9");
  }
  // strtod also reads hexadecimal floats and nan(...), which Python does not.
  if (text->find_first_of("xX(") != std::string::npos) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(text->c_str(), &end);
  if (end != text->c_str() + text->size() || std::isspace(static_cast<unsigned char>((*text)[0]))) {
    return std::nullopt;
  }
  return value;
}

std::optional<std::int64_t> parse_integer(const std::string& source, std::int64_t base) {
  if (base != 0 && (base < 2 || base > 36)) fail_unsupported("int with such a base");
  auto text = plain_digits(strip(source, true, true));
  if (!text || text->empty()) return std::nullopt;
  for (const char32_t c : decode(*text)) {
    if (c >= 0x80 && is_decimal(c)) fail_unsupported("numbers in digits other than 0 to 9");
  }
  const bool negative = (*text)[0] == '-';
  if ((*text)[0] == '-' || (*text)[0] == '+') text->erase(0, 1);
  if (text->size() > 2 && (*text)[0] == '0') {
    const char mark = static_cast<char>((*text)[1] | 0x20);
    const std::int64_t marked = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
    if (marked != 0 && (base == marked || base == 0)) {
      text->erase(0, 2);
      base = marked;
    }
  }
  if (base == 0) base = 10;
  if (text->empty()) return std::nullopt;
  std::int64_t value = 0;
  for (const char c : *text) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'z' ? c - 'a' + 10
                      : c >= 'A' && c <= 'Z' ? c - 'A' + 10
                                             : 99;
    if (digit >= base) return std::nullopt;
    if (__builtin_mul_overflow(value, base, &value) ||
        __builtin_add_overflow(value, digit, &value)) {
      fail_unsupported("integers of more than 64 bits");
    }
  }
  return negative ? -value : value;
}

std::optional<std::int64_t> truncated(double d) {
  if (!std::isfinite(d)) return std::nullopt;
  if (std::fabs(d) >= 9.2e18) fail_unsupported("integers of more than 64 bits");
  return static_cast<std::int64_t>(d);
}

Value do_int(Evaluator&, const Value& v, const Args& args) {
  const auto a = bind("int", args, {"default", "base"}, 0);
  if (v.is(Kind::Undefined)) fail_undefined(v);
  std::optional<std::int64_t> result;
  if (v.is(Kind::String)) {
    result = parse_integer(v.text(), a[1] ? integer_of(*a[1]) : 10);
    if (!result) {
      if (const auto number = parse_float(v.text())) result = truncated(*number);
    }
  } else if (v.is_integral()) {
    result = v.as_int();
  } else if (v.is(Kind::Float)) {
    if (std::isinf(v.as_double())) fail("cannot convert float infinity to integer");
    result = truncated(v.as_double());
  }
  return result ? Value::integer(*result) : a[0].value_or(Value::integer(0));
}

Value do_float(Evaluator&, const Value& v, const Args& args) {
  const auto a = bind("float", args, {"default"}, 0);
  if (v.is(Kind::Undefined)) fail_undefined(v);
  std::optional<double> result;
  if (v.is(Kind::String)) result = parse_float(v.text());
  if (v.is_number()) result = v.as_double();
  return result ? Value::number(*result) : a[0].value_or(Value::number(0.0));
}

Value do_abs(Evaluator&, const Value& v, const Args& args) {
  no_arguments("abs", args);
  if (v.is(Kind::Float)) return Value::number(std::fabs(v.as_double()));
  if (!v.is_integral()) fail("bad operand type for abs(): '" + v.type_name() + "'");
  return v.as_int() < 0 ? negate(v) : Value::integer(v.as_int());
}

/// round(x, n): the decimal that printf finds is correctly rounded, as Python's is.
double round_to(double v, std::int64_t digits) {
  if (!std::isfinite(v) || digits > 330) return v;
  if (digits < 0) {
    if (digits < -308) return std::copysign(0.0, v);
    const double power = std::pow(10.0, static_cast<double>(-digits));
    return std::nearbyint(v / power) * power;
  }
  char buffer[1024];
  std::snprintf(buffer, sizeof buffer, "%.*f", static_cast<int>(digits), v);
  return std::strtod(buffer, nullptr);
}

Value do_round(Evaluator&, const Value& v, const Args& args) {
  const auto a = bind("round", args, {"precision", "method"}, 0);
  const std::int64_t digits = a[0] ? integer_of(*a[0]) : 0;
  const std::string method = a[1] ? to_text(*a[1]) : "common";
  if (v.is(Kind::Undefined)) fail_undefined(v);
  if (!v.is_number()) fail("type " + v.type_name() + " doesn't define __round__ method");
  if (method == "common") {
    if (v.is(Kind::Float)) return Value::number(round_to(v.as_double(), digits));
    if (digits < 0) fail_unsupported("rounding an integer to tens");
    return Value::integer(v.as_int());
  }
  if (method != "ceil" && method != "floor") fail("method must be common, ceil or floor");
  const double power = std::pow(10.0, static_cast<double>(digits));
  const double scaled = v.as_double() * power;
  return Value::number((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / power);
}

Value do_attr(Evaluator& e, const Value& v, const Args& args) {
  const auto a = bind("attr", args, {"name"}, 1);
  const std::string& name = string_of(*a[0]);
  if (v.is(Kind::Undefined)) fail_undefined(v);
  e.step();
  if (auto own = own_attribute(v, name)) return *own;
  std::string message = v.type_name();
  message.append(" object has no attribute '").append(name).append("'");
  return Value::undefined(std::move(message));
}

struct Row {
  const char* name;
  Filter filter;
};

constexpr Row kFilters[] = {
    {"abs", do_abs},
    {"attr", do_attr},
    {"capitalize", do_convert<to_capital>},
    {"center", do_center},
    {"d", do_default},
    {"default", do_default},
    {"e", do_escape},
    {"escape", do_escape},
    {"float", do_float},
    {"forceescape", do_forceescape},
    {"format", do_format},
    {"indent", do_indent},
    {"int", do_int},
    {"lower", do_convert<to_lower>},
    {"replace", do_replace},
    {"round", do_round},
    {"safe", do_safe},
    {"string", do_string},
    {"title", do_title},
    {"tojson", do_tojson},
    {"trim", do_trim},
    {"truncate", do_truncate},
    {"upper", do_convert<to_upper>},
    {"wordcount", do_wordcount},
};

}  // namespace

Filter find_filter(std::string_view name) {
  for (const Row& row : kFilters) {
    if (name == row.name) return row.filter;
  }
  return find_sequence_filter(name);
}

Known known_filter(std::string_view name) {
  static const std::set<std::string_view> refused = {"filesizeformat", "groupby",   "pprint",
                                                     "random",         "striptags", "urlencode",
                                                     "urlize",         "wordwrap",  "xmlattr"};
  if (find_filter(name) != nullptr) return Known::Yes;
  return refused.count(name) != 0 ? Known::Unsupported : Known::No;
}

}  // namespace loraproof::text::jinja
