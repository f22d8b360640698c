// SPDX-License-Identifier: Apache-2.0
// The methods of str. Positions and widths count code points.
#include <algorithm>
#include <limits>
#include <set>

#include "loraproof/text/jinja/evaluator.h"
#include "loraproof/text/jinja/operators.h"
#include "loraproof/text/jinja/unicode.h"

namespace loraproof::text::jinja {
namespace {

using Points = std::u32string;

Value text_value(std::string_view text) { return Value::string(std::string(text)); }

bool given(const std::optional<Value>& v) { return v && !v->is(Kind::None); }

template <bool kLeft, bool kRight>
Value do_strip(Evaluator&, const Value& self, const Args& args) {
  const auto a = bind("strip", args, {"chars"}, 0, false);
  if (!given(a[0])) return text_value(strip(self.text(), kLeft, kRight));
  return text_value(strip(self.text(), string_of(*a[0]), kLeft, kRight));
}

template <std::string (*kConvert)(std::string_view)>
Value do_convert(Evaluator&, const Value& self, const Args& args) {
  no_arguments("case conversion", args);
  return Value::string(kConvert(self.text()));
}

Value::Items split_space(const std::string& text, std::int64_t limit) {
  Value::Items out;
  std::string_view rest = strip(text, true, false);
  while (!rest.empty()) {
    if (limit >= 0 && static_cast<std::int64_t>(out.size()) >= limit) {
      out.push_back(text_value(rest));
      break;
    }
    std::size_t end = 0;
    while (end < rest.size()) {
      const std::size_t n = char_bytes(rest[end]);
      if (is_space(decode(rest.substr(end, n))[0])) break;
      end += n;
    }
    out.push_back(text_value(rest.substr(0, end)));
    rest = strip(rest.substr(end), true, false);
  }
  return out;
}

Value::Items rsplit_space(const std::string& text, std::int64_t limit) {
  Value::Items out;
  Points rest = decode(strip(text, false, true));
  while (!rest.empty()) {
    if (limit >= 0 && static_cast<std::int64_t>(out.size()) >= limit) {
      out.push_back(Value::string(encode(rest)));
      break;
    }
    std::size_t start = rest.size();
    while (start > 0 && !is_space(rest[start - 1])) --start;
    out.push_back(Value::string(encode(rest.substr(start))));
    while (start > 0 && is_space(rest[start - 1])) --start;
    rest.resize(start);
  }
  std::reverse(out.begin(), out.end());
  return out;
}

Value::Items split_by(const std::string& text, const std::string& by, std::int64_t limit,
                      bool from_right) {
  if (by.empty()) fail("empty separator");
  Value::Items out;
  std::string_view rest = text;
  while (limit < 0 || static_cast<std::int64_t>(out.size()) < limit) {
    const auto at = from_right ? rest.rfind(by) : rest.find(by);
    if (at == std::string_view::npos) break;
    if (out.size() >= Limits::kItems) fail_limit("a list of the template grows too long");
    if (from_right) {
      out.push_back(text_value(rest.substr(at + by.size())));
      rest = rest.substr(0, at);
    } else {
      out.push_back(text_value(rest.substr(0, at)));
      rest.remove_prefix(at + by.size());
    }
  }
  out.push_back(text_value(rest));
  if (from_right) std::reverse(out.begin(), out.end());
  return out;
}

template <bool kRight>
Value do_split(Evaluator& e, const Value& self, const Args& args) {
  const auto a = bind("split", args, {"sep", "maxsplit"}, 0);
  const std::int64_t limit = a[1] ? integer_of(*a[1]) : -1;
  e.step(self.text().size() / 16);
  if (given(a[0])) return Value::list(split_by(self.text(), string_of(*a[0]), limit, kRight));
  return Value::list(kRight ? rsplit_space(self.text(), limit) : split_space(self.text(), limit));
}

Value do_splitlines(Evaluator& e, const Value& self, const Args& args) {
  const auto a = bind("splitlines", args, {"keepends"}, 0);
  e.step(self.text().size() / 16);
  Value::Items out;
  for (auto& line : split_lines(self.text(), a[0] && a[0]->truthy())) {
    out.push_back(Value::string(std::move(line)));
  }
  return Value::list(std::move(out));
}

template <bool kRight>
Value do_partition(Evaluator&, const Value& self, const Args& args) {
  const auto a = bind("partition", args, {"sep"}, 1, false);
  const std::string& by = string_of(*a[0]);
  const std::string& text = self.text();
  if (by.empty()) fail("empty separator");
  const auto at = kRight ? text.rfind(by) : text.find(by);
  if (at == std::string::npos) {
    if (kRight) return Value::tuple({text_value(""), text_value(""), self});
    return Value::tuple({self, text_value(""), text_value("")});
  }
  return Value::tuple(
      {text_value(text.substr(0, at)), *a[0], text_value(text.substr(at + by.size()))});
}

/// The part of self between the optional positions `from` and `to`, and where it starts; nothing
/// when the start lies beyond the end.
std::optional<std::pair<Points, std::int64_t>> window(const Value& self,
                                                      const std::optional<Value>& from,
                                                      const std::optional<Value>& to) {
  Points points = decode(self.text());
  const auto size = static_cast<std::int64_t>(points.size());
  const auto bound = [&](const std::optional<Value>& v, std::int64_t fallback) {
    if (!given(v)) return fallback;
    const std::int64_t i = integer_of(*v);
    return i < 0 ? std::max<std::int64_t>(i + size, 0) : i;
  };
  const std::int64_t start = bound(from, 0);
  const std::int64_t stop = std::min(bound(to, size), size);
  if (start > size || start > stop) return std::nullopt;
  return std::make_pair(
      points.substr(static_cast<std::size_t>(start), static_cast<std::size_t>(stop - start)),
      start);
}

template <bool kStart>
Value do_affix(Evaluator&, const Value& self, const Args& args) {
  const auto a =
      bind(kStart ? "startswith" : "endswith", args, {"prefix", "start", "end"}, 1, false);
  Value::Items options{*a[0]};
  if (a[0]->is(Kind::Tuple)) options = a[0]->items();
  const auto part = window(self, a[1], a[2]);
  for (const Value& option : options) {
    const Points affix = decode(string_of(option));
    if (!part || part->first.size() < affix.size()) continue;
    const std::size_t at = kStart ? 0 : part->first.size() - affix.size();
    if (part->first.compare(at, affix.size(), affix) == 0) return Value::boolean(true);
  }
  return Value::boolean(false);
}

std::int64_t find_in(const Value& self, const Args& args, bool right) {
  const auto a = bind("find", args, {"sub", "start", "end"}, 1, false);
  const Points wanted = decode(string_of(*a[0]));
  const auto part = window(self, a[1], a[2]);
  if (!part) return -1;
  const auto at = right ? part->first.rfind(wanted) : part->first.find(wanted);
  return at == Points::npos ? -1 : static_cast<std::int64_t>(at) + part->second;
}

template <bool kRight, bool kMust>
Value do_find(Evaluator& e, const Value& self, const Args& args) {
  e.step(self.text().size() / 256);
  const std::int64_t at = find_in(self, args, kRight);
  if (kMust && at < 0) fail("substring not found");
  return Value::integer(at);
}

Value do_count(Evaluator& e, const Value& self, const Args& args) {
  const auto a = bind("count", args, {"sub", "start", "end"}, 1, false);
  e.step(self.text().size() / 256);
  const Points wanted = decode(string_of(*a[0]));
  const auto part = window(self, a[1], a[2]);
  if (!part) return Value::integer(0);
  if (wanted.empty()) return Value::integer(static_cast<std::int64_t>(part->first.size()) + 1);
  std::int64_t count = 0;
  for (std::size_t at = 0; (at = part->first.find(wanted, at)) != Points::npos;
       at += wanted.size()) {
    ++count;
  }
  return Value::integer(count);
}

Value do_replace(Evaluator& e, const Value& self, const Args& args) {
  const auto a = bind("replace", args, {"old", "new", "count"}, 2, false);
  e.step(self.text().size() / 256);
  return Value::string(
      replace_text(self.text(), string_of(*a[0]), string_of(*a[1]), a[2] ? integer_of(*a[2]) : -1));
}

Value do_join(Evaluator& e, const Value& self, const Args& args) {
  const auto a = bind("join", args, {"iterable"}, 1, false);
  BoundedText out;
  bool first = true;
  for (const Value& item : a[0]->iterate()) {
    e.step();
    if (!first) out.add(self.text());
    first = false;
    out.add(string_of(item));
  }
  return Value::string(out.take());
}

Value do_format(Evaluator& e, const Value& self, const Args& args) {
  return Value::string(brace_format(e, self.text(), args));
}

template <bool kPrefix>
Value do_remove(Evaluator&, const Value& self, const Args& args) {
  const auto a = bind("removeprefix", args, {"affix"}, 1, false);
  const std::string& affix = string_of(*a[0]);
  std::string_view text = self.text();
  if (text.size() < affix.size()) return self;
  if (kPrefix && text.substr(0, affix.size()) == affix)
    return text_value(text.substr(affix.size()));
  if (!kPrefix && text.substr(text.size() - affix.size()) == affix) {
    return text_value(text.substr(0, text.size() - affix.size()));
  }
  return self;
}

/// ljust, rjust, center: how much of the padding goes to the left is what differs.
template <int kMode>
Value do_justify(Evaluator&, const Value& self, const Args& args) {
  const auto a = bind("justify", args, {"width", "fillchar"}, 1, false);
  const std::string fill = a[1] ? string_of(*a[1]) : " ";
  if (count_points(fill) != 1) fail("the fill character must be exactly one character long");
  const std::int64_t pad = std::max<std::int64_t>(integer_of(*a[0]) - self.length(), 0);
  const std::int64_t width = self.length() + pad;
  const std::int64_t left = kMode < 0 ? 0 : kMode > 0 ? pad : pad / 2 + (pad & width & 1);
  BoundedText out;
  out.repeat(fill, left);
  out.add(self.text());
  out.repeat(fill, pad - left);
  return Value::string(out.take());
}

Value do_zfill(Evaluator&, const Value& self, const Args& args) {
  const auto a = bind("zfill", args, {"width"}, 1, false);
  std::string_view text = self.text();
  BoundedText out;
  const std::int64_t pad = integer_of(*a[0]) - self.length();
  if (pad > 0 && !text.empty() && (text[0] == '-' || text[0] == '+')) {
    out.add(text.substr(0, 1));
    text.remove_prefix(1);
  }
  out.repeat("0", pad);
  out.add(text);
  return Value::string(out.take());
}

template <bool (*kCheck)(char32_t)>
Value do_is(Evaluator&, const Value& self, const Args& args) {
  no_arguments("is...", args);
  const auto points = decode(self.text());
  return Value::boolean(!points.empty() && std::all_of(points.begin(), points.end(), kCheck));
}

bool check_ascii(char32_t c) { return c < 0x80; }

/// islower and isupper: at least one such letter and none of the other cases.
template <bool kLower>
Value do_is_case(Evaluator&, const Value& self, const Args& args) {
  no_arguments("is...", args);
  bool any = false;
  for (const char32_t c : decode(self.text())) {
    if (is_title(c) || (kLower ? is_upper(c) : is_lower(c))) return Value::boolean(false);
    any = any || (kLower ? is_lower(c) : is_upper(c));
  }
  return Value::boolean(any);
}

Value do_is_title(Evaluator&, const Value& self, const Args& args) {
  no_arguments("istitle", args);
  bool any = false;
  bool after_cased = false;
  for (const char32_t c : decode(self.text())) {
    const bool starts = is_upper(c) || is_title(c);
    if (starts ? after_cased : is_lower(c) && !after_cased) return Value::boolean(false);
    after_cased = starts || is_lower(c);
    any = any || after_cased;
  }
  return Value::boolean(any);
}

Value do_is_ascii(Evaluator&, const Value& self, const Args& args) {
  no_arguments("isascii", args);
  const auto points = decode(self.text());
  return Value::boolean(std::all_of(points.begin(), points.end(), check_ascii));
}

Value do_is_printable(Evaluator&, const Value& self, const Args& args) {
  no_arguments("isprintable", args);
  const auto points = decode(self.text());
  return Value::boolean(std::all_of(points.begin(), points.end(), is_printable));
}

struct Row {
  const char* name;
  Method method;
};

constexpr Row kMethods[] = {
    {"capitalize", do_convert<to_capital>},
    {"center", do_justify<0>},
    {"count", do_count},
    {"endswith", do_affix<false>},
    {"find", do_find<false, false>},
    {"format", do_format},
    {"index", do_find<false, true>},
    {"isalnum", do_is<is_alnum>},
    {"isalpha", do_is<is_alpha>},
    {"isascii", do_is_ascii},
    {"isdecimal", do_is<is_decimal>},
    {"isdigit", do_is<is_digit>},
    {"islower", do_is_case<true>},
    {"isnumeric", do_is<is_numeric>},
    {"isprintable", do_is_printable},
    {"isspace", do_is<is_space>},
    {"istitle", do_is_title},
    {"isupper", do_is_case<false>},
    {"join", do_join},
    {"ljust", do_justify<-1>},
    {"lower", do_convert<to_lower>},
    {"lstrip", do_strip<true, false>},
    {"partition", do_partition<false>},
    {"removeprefix", do_remove<true>},
    {"removesuffix", do_remove<false>},
    {"replace", do_replace},
    {"rfind", do_find<true, false>},
    {"rindex", do_find<true, true>},
    {"rjust", do_justify<1>},
    {"rpartition", do_partition<true>},
    {"rsplit", do_split<true>},
    {"rstrip", do_strip<false, true>},
    {"split", do_split<false>},
    {"splitlines", do_splitlines},
    {"startswith", do_affix<true>},
    {"strip", do_strip<true, true>},
    {"swapcase", do_convert<swap_case>},
    {"title", do_convert<to_title>},
    {"upper", do_convert<to_upper>},
    {"zfill", do_zfill},
};

}  // namespace

std::optional<Value> string_method(const Value& self, const std::string& name) {
  for (const Row& row : kMethods) {
    if (name == row.name) return make_method(name, self, row.method);
  }
  static const std::set<std::string, std::less<>> others = {
      "casefold", "encode", "expandtabs", "format_map", "isidentifier", "maketrans", "translate"};
  if (others.count(name) != 0) fail_unsupported("the method '" + name + "' of str");
  return std::nullopt;
}

std::string replace_text(std::string_view text, std::string_view from, std::string_view to,
                         std::int64_t count) {
  BoundedText out;
  if (count < 0) count = std::numeric_limits<std::int64_t>::max();
  if (from.empty()) {
    // Python puts the new text before each character and at the end.
    for (; count > 0; --count) {
      out.add(to);
      if (text.empty()) return out.take();
      const std::size_t n = char_bytes(text[0]);
      out.add(text.substr(0, n));
      text.remove_prefix(n);
    }
    out.add(text);
    return out.take();
  }
  for (; count > 0; --count) {
    const auto at = text.find(from);
    if (at == std::string_view::npos) break;
    out.add(text.substr(0, at));
    out.add(to);
    text.remove_prefix(at + from.size());
  }
  out.add(text);
  return out.take();
}

}  // namespace loraproof::text::jinja
