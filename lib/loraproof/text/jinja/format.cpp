// SPDX-License-Identifier: Apache-2.0
// "..." % values, and "...".format(...) with the usual mini-language.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "loraproof/text/jinja/evaluator.h"
#include "loraproof/text/jinja/operators.h"
#include "loraproof/text/jinja/print.h"
#include "loraproof/text/jinja/unicode.h"

namespace loraproof::text::jinja {
namespace {

constexpr std::int64_t kMaxPrecision = 1000;

struct Spec {
  std::string fill = " ";
  char align = 0;  ///< < > = ^
  char sign = 0;   ///< + - space
  bool alternate = false;
  bool zero = false;
  char group = 0;  ///< , or _
  std::int64_t width = 0;
  std::int64_t precision = -1;
  char type = 0;
};

std::int64_t read_number(std::string_view text, std::size_t& i) {
  std::int64_t value = 0;
  while (i < text.size() && text[i] >= '0' && text[i] <= '9') {
    value = value * 10 + (text[i++] - '0');
    if (value > static_cast<std::int64_t>(Limits::kString)) fail_limit("a format is too wide");
  }
  return value;
}

std::string pad(const std::string& sign, const std::string& body, const Spec& s, char fallback) {
  const char align = s.align != 0 ? s.align : fallback;
  const auto length = static_cast<std::int64_t>(count_points(sign) + count_points(body));
  const std::int64_t room = std::max<std::int64_t>(s.width - length, 0);
  BoundedText out;
  const std::int64_t left = align == '>' ? room : align == '^' ? room / 2 : 0;
  out.repeat(s.fill, left);
  out.add(sign);
  if (align == '=') out.repeat(s.fill, room);
  out.add(body);
  if (align != '=') out.repeat(s.fill, room - left);
  return out.take();
}

std::string grouped(const std::string& digits, char group, int every) {
  if (group == 0) return digits;
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i != 0 && (digits.size() - i) % static_cast<std::size_t>(every) == 0) out.push_back(group);
    out.push_back(digits[i]);
  }
  return out;
}

std::string sign_of(bool negative, char wanted) {
  if (negative) return "-";
  return wanted == '+' || wanted == ' ' ? std::string(1, wanted) : "";
}

std::string in_base(std::uint64_t v, unsigned base, bool upper) {
  std::string out;
  do {
    const auto digit = static_cast<char>(v % base);
    out.push_back(static_cast<char>(digit < 10 ? '0' + digit : (upper ? 'A' : 'a') + digit - 10));
    v /= base;
  } while (v != 0);
  std::reverse(out.begin(), out.end());
  return out;
}

std::string format_integer(std::int64_t v, const Spec& s) {
  const std::uint64_t magnitude =
      v < 0 ? ~static_cast<std::uint64_t>(v) + 1 : static_cast<std::uint64_t>(v);
  const unsigned base = s.type == 'x' || s.type == 'X' ? 16
                        : s.type == 'o'                ? 8
                        : s.type == 'b'                ? 2
                                                       : 10;
  std::string body = grouped(in_base(magnitude, base, s.type == 'X'), s.group, base == 10 ? 3 : 4);
  if (s.precision > static_cast<std::int64_t>(body.size())) {
    body.insert(0, static_cast<std::size_t>(s.precision) - body.size(), '0');
  }
  std::string sign = sign_of(v < 0, s.sign);
  if (s.alternate && base != 10) sign += std::string("0") + s.type;
  return pad(sign, body, s, '>');
}

std::string printf_double(double v, char type, std::int64_t precision, bool alternate) {
  const std::string format = std::string("%") + (alternate ? "#" : "") + ".*" + type;
  const int n = std::snprintf(nullptr, 0, format.c_str(), static_cast<int>(precision), v);
  std::string out(static_cast<std::size_t>(n) + 1, '\0');
  std::snprintf(out.data(), out.size(), format.c_str(), static_cast<int>(precision), v);
  out.pop_back();
  return out;
}

std::string format_float(double v, const Spec& s) {
  std::string body;
  char type = s.type;
  const double magnitude = std::fabs(v);
  if (!std::isfinite(v)) {
    body = std::isnan(v) ? "nan" : "inf";
    if (type == 'F' || type == 'E' || type == 'G') body = to_upper(body);
  } else if (type == 0 && s.precision < 0) {
    body = repr_float(magnitude);
  } else if (type == '%') {
    body =
        printf_double(magnitude * 100, 'f', s.precision < 0 ? 6 : s.precision, s.alternate) + "%";
  } else if (type == 0) {
    fail_unsupported("a float format with a precision and no type");
  } else {
    body = printf_double(magnitude, type, s.precision < 0 ? 6 : s.precision, s.alternate);
  }
  if (s.group != 0) {
    const auto end = body.find_first_not_of("0123456789");
    body = grouped(body.substr(0, end), s.group, 3) +
           (end == std::string::npos ? "" : body.substr(end));
  }
  return pad(sign_of(std::signbit(v) && !std::isnan(v), s.sign), body, s, '>');
}

std::string format_text(std::string text, const Spec& s) {
  if (s.precision >= 0)
    text = encode(decode(text).substr(0, static_cast<std::size_t>(s.precision)));
  return pad("", text, s, '<');
}

// ---- percent ----

std::string percent_integer(const Value& v, Spec s) {
  if (s.type == 'd' || s.type == 'i' || s.type == 'u') {
    if (v.is(Kind::Float)) {
      if (!(std::fabs(v.as_double()) < 9.2e18)) fail("cannot convert float to integer");
      return format_integer(static_cast<std::int64_t>(v.as_double()), s);
    }
  }
  if (!v.is_integral()) {
    fail(std::string("%") + s.type + " format: a number is required, not " + v.type_name());
  }
  return format_integer(v.as_int(), s);
}

std::string percent_one(const Value& v, const Spec& s) {
  switch (s.type) {
    case 's': return format_text(to_text(v), s);
    case 'r': return format_text(to_repr(v), s);
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o': return percent_integer(v, s);
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      if (v.is(Kind::Undefined)) fail_undefined(v);
      if (!v.is_number()) fail("must be real number, not " + v.type_name());
      return format_float(v.as_double(), s);
    case 'c':
      if (v.is(Kind::String) && count_points(v.text()) == 1) return format_text(v.text(), s);
      fail_unsupported("the format %c of a number");
    case 'a': fail_unsupported("the format %a");
    default: fail(std::string("unsupported format character '") + s.type + "'");
  }
}

class PercentFormat {
 public:
  PercentFormat(std::string_view format, const Value& arguments)
      : format_(format), arguments_(arguments) {}

  std::string run() {
    BoundedText out;
    for (std::size_t i = 0; i < format_.size();) {
      if (format_[i] != '%') {
        const auto next = std::min(format_.find('%', i), format_.size());
        out.add(format_.substr(i, next - i));
        i = next;
      } else {
        out.add(directive(++i));
      }
    }
    const bool mapping = arguments_.is(Kind::Dict) || arguments_.is(Kind::List);
    if (used_ < available() && !named_ && !mapping) {
      fail("not all arguments converted during string formatting");
    }
    return out.take();
  }

 private:
  [[nodiscard]] std::size_t available() const {
    return arguments_.is(Kind::Tuple) ? arguments_.items().size() : 1;
  }
  Value next_argument() {
    if (used_ >= available()) fail("not enough arguments for format string");
    ++used_;
    return arguments_.is(Kind::Tuple) ? arguments_.items()[used_ - 1] : arguments_;
  }
  [[nodiscard]] char at(std::size_t i) const {
    if (i >= format_.size()) fail("incomplete format");
    return format_[i];
  }
  std::int64_t size_of(std::size_t& i) {
    if (at(i) != '*') return read_number(format_, i);
    ++i;
    const std::int64_t value = integer_of(next_argument());
    if (value < 0) fail_unsupported("a negative width in a format");
    return value;
  }

  std::string directive(std::size_t& i) {
    Spec s;
    std::optional<Value> named;
    if (at(i) == '(') {
      const auto close = format_.find(')', i);
      if (close == std::string_view::npos) fail("incomplete format key");
      if (!arguments_.is(Kind::Dict)) fail("format requires a mapping");
      const Value* found = arguments_.find(format_.substr(i + 1, close - i - 1));
      if (found == nullptr) fail("a format names a key that is missing");
      named = *found;
      named_ = true;
      i = close + 1;
    }
    for (bool flags = true; flags;) {
      switch (at(i)) {
        case '-': s.align = '<'; break;
        case '+': s.sign = '+'; break;
        case ' ': s.sign = s.sign == '+' ? '+' : ' '; break;
        case '#': s.alternate = true; break;
        case '0': s.zero = true; break;
        default: flags = false; continue;
      }
      ++i;
    }
    s.width = size_of(i);
    if (at(i) == '.') s.precision = std::min(size_of(++i), kMaxPrecision);
    while (at(i) == 'l' || at(i) == 'h' || at(i) == 'L') ++i;
    s.type = at(i++);
    if (s.type == '%') return "%";
    const bool textual = s.type == 's' || s.type == 'r' || s.type == 'c';
    if (s.zero && s.align == 0 && !textual) {
      s.align = '=';
      s.fill.assign(1, '0');
    }
    if (s.align == 0) s.align = '>';
    return percent_one(named ? *named : next_argument(), s);
  }

  std::string_view format_;
  const Value& arguments_;
  std::size_t used_ = 0;
  bool named_ = false;
};

// ---- braces ----

Spec parse_spec(const std::string& text) {
  Spec s;
  const auto is_align = [](char32_t c) { return c == '<' || c == '>' || c == '=' || c == '^'; };
  const auto points = decode(text);
  std::size_t skip = 0;
  if (points.size() >= 2 && is_align(points[1])) {
    s.fill = encode(points.substr(0, 1));
    s.align = static_cast<char>(points[1]);
    skip = 2;
  } else if (!points.empty() && is_align(points[0])) {
    s.align = static_cast<char>(points[0]);
    skip = 1;
  }
  const std::string rest = encode(points.substr(skip));
  std::size_t i = 0;
  const auto take = [&](std::string_view any) -> char {
    return i < rest.size() && any.find(rest[i]) != std::string_view::npos ? rest[i++] : '\0';
  };
  s.sign = take("+- ");
  s.alternate = take("#") != 0;
  if (take("0") != 0) {
    if (skip < 2) s.fill.assign(1, '0');
    if (s.align == 0) s.align = '=';
    s.zero = true;
  }
  s.width = read_number(rest, i);
  s.group = take(",_");
  if (take(".") != 0) {
    const std::size_t before = i;
    s.precision = std::min(read_number(rest, i), kMaxPrecision);
    if (i == before) fail("format specifier missing precision");
  }
  s.type = take("bcdeEfFgGnosxX%");
  if (i != rest.size()) fail("invalid format specifier '" + text + "'");
  return s;
}

std::string brace_one(const Value& v, const std::string& spec_text) {
  if (spec_text.empty()) return to_text(v);
  Spec s = parse_spec(spec_text);
  if (s.type == 'n' || s.type == 'c')
    fail_unsupported(std::string("the format type '") + s.type + "'");
  const std::string_view floats = "eEfFgG%";
  if (v.is_integral() &&
      (s.type == 0 || std::string_view("bdoxX").find(s.type) != std::string_view::npos)) {
    if (s.precision >= 0) fail("precision not allowed in integer format specifier");
    if (v.is(Kind::Bool) && s.type == 0) fail_unsupported("a format specification for a bool");
    if (s.group != 0 && s.zero) fail_unsupported("zero padding with grouping");
    return format_integer(v.as_int(), s);
  }
  if (v.is_number() &&
      (v.is(Kind::Float) ? s.type == 0 || floats.find(s.type) != std::string_view::npos
                         : floats.find(s.type) != std::string_view::npos)) {
    if (s.group != 0 && s.zero) fail_unsupported("zero padding with grouping");
    return format_float(v.as_double(), s);
  }
  if (v.is(Kind::String) && (s.type == 0 || s.type == 's')) {
    if (s.sign != 0 || s.alternate || s.group != 0 || (s.align == '=' && !s.zero)) {
      fail("the format specification '" + spec_text + "' does not fit a string");
    }
    if (s.align == '=') s.align = '<';
    return format_text(v.text(), s);
  }
  fail("the format specification '" + spec_text + "' does not fit a " + v.type_name());
}

class BraceFormat {
 public:
  BraceFormat(Evaluator& evaluator, std::string_view format, const Args& args)
      : evaluator_(evaluator), format_(format), args_(args) {}

  std::string run() {
    BoundedText out;
    for (std::size_t i = 0; i < format_.size();) {
      const char c = format_[i];
      const bool doubled = i + 1 < format_.size() && format_[i + 1] == c;
      if (c == '{' && !doubled) {
        const auto close = format_.find('}', i);
        if (close == std::string_view::npos) fail("expected '}' before end of string");
        out.add(field(format_.substr(i + 1, close - i - 1)));
        i = close + 1;
      } else if (c == '}' && !doubled) {
        fail("single '}' encountered in format string");
      } else {
        out.add(format_.substr(i, 1));
        i += c == '{' || c == '}' ? 2 : 1;
      }
    }
    return out.take();
  }

 private:
  std::string field(std::string_view text) {
    if (text.find('{') != std::string_view::npos) fail_unsupported("nested fields in a format");
    std::string spec;
    char conversion = 0;
    const auto mark = text.find_first_of("!:");
    std::string_view name = text.substr(0, mark);
    if (mark != std::string_view::npos) {
      std::string_view rest = text.substr(mark);
      if (rest[0] == '!') {
        if (rest.size() < 2) fail("end of string while looking for conversion specifier");
        conversion = rest[1];
        rest.remove_prefix(2);
      }
      if (!rest.empty()) {
        if (rest[0] != ':') fail("expected ':' after conversion specifier");
        spec = std::string(rest.substr(1));
      }
    }
    Value value = look_up(name);
    if (conversion == 's') value = Value::string(to_text(value));
    if (conversion == 'r') value = Value::string(to_repr(value));
    if (conversion != 0 && conversion != 's' && conversion != 'r') {
      fail_unsupported(std::string("the conversion !") + conversion);
    }
    return brace_one(value, spec);
  }

  Value look_up(std::string_view name) {
    const auto end = name.find_first_of(".[");
    Value value = first(name.substr(0, end));
    while (!name.empty() && name.find_first_of(".[") != std::string_view::npos) {
      name.remove_prefix(name.find_first_of(".["));
      if (name[0] == '.') {
        name.remove_prefix(1);
        value = evaluator_.getattr(value, std::string(name.substr(0, name.find_first_of(".["))));
      } else {
        const auto close = name.find(']');
        if (close == std::string_view::npos) fail("missing ']' in format string");
        const std::string_view key = name.substr(1, close - 1);
        value = evaluator_.getitem(
            value, is_index(key) ? Value::integer(index(key)) : Value::string(std::string(key)));
        name.remove_prefix(close + 1);
      }
    }
    return value;
  }

  static bool is_index(std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
  }
  static std::int64_t index(std::string_view text) {
    std::size_t i = 0;
    return read_number(text, i);
  }

  Value first(std::string_view name) {
    std::int64_t position = 0;
    if (name.empty()) {
      if (manual_) fail("cannot switch from manual field specification to automatic numbering");
      automatic_ = true;
      position = next_++;
    } else if (is_index(name)) {
      if (automatic_) fail("cannot switch from automatic field numbering to manual specification");
      manual_ = true;
      position = index(name);
    } else {
      for (const auto& [key, value] : args_.named) {
        if (key == name) return value;
      }
      fail("the format names '" + std::string(name) + "', which is not given");
    }
    if (position >= static_cast<std::int64_t>(args_.positional.size())) {
      fail("replacement index " + std::to_string(position) + " out of range");
    }
    return args_.positional[static_cast<std::size_t>(position)];
  }

  Evaluator& evaluator_;
  std::string_view format_;
  const Args& args_;
  std::int64_t next_ = 0;
  bool automatic_ = false;
  bool manual_ = false;
};

}  // namespace

std::string escape_html(std::string_view text) {
  BoundedText out;
  for (const char c : text) {
    switch (c) {
      case '&': out.add("&amp;"); break;
      case '<': out.add("&lt;"); break;
      case '>': out.add("&gt;"); break;
      case '\'': out.add("&#39;"); break;
      case '"': out.add("&#34;"); break;
      default: out.add({&c, 1});
    }
  }
  return out.take();
}

std::string percent_format(std::string_view format, const Value& arguments) {
  return PercentFormat(format, arguments).run();
}

std::string brace_format(Evaluator& evaluator, std::string_view format, const Args& args) {
  return BraceFormat(evaluator, format, args).run();
}

}  // namespace loraproof::text::jinja
