// SPDX-License-Identifier: Apache-2.0
// Filters on sequences. What is a generator in Jinja is one here: it can be used once.
#include <algorithm>
#include <functional>
#include <set>

#include "loraproof/text/jinja/operators.h"
#include "loraproof/text/jinja/print.h"
#include "loraproof/text/jinja/tables.h"
#include "loraproof/text/jinja/unicode.h"

namespace loraproof::text::jinja {
namespace {

bool given(const std::optional<Value>& v) { return v && !v->is(Kind::None); }

/// Items of any iterable, counted as work.
Value::Items items_of(Evaluator& e, const Value& v) {
  auto items = v.iterate();
  e.step(items.size());
  return items;
}

/// "a.b.0" as the lookups a, b, 0; an integer as itself; None as no lookup at all.
Value::Items attribute_path(const Value& attribute) {
  Value::Items path;
  if (attribute.is(Kind::None)) return path;
  if (!attribute.is(Kind::String)) return {attribute};
  const std::string& text = attribute.text();
  std::size_t start = 0;
  while (true) {
    const auto end = text.find('.', start);
    const std::string part = text.substr(start, end == std::string::npos ? end : end - start);
    const bool index = !part.empty() && part.size() < 18 &&
                       part.find_first_not_of("0123456789") == std::string::npos;
    path.push_back(index ? Value::integer(std::stoll(part)) : Value::string(part));
    if (end == std::string::npos) return path;
    start = end + 1;
  }
}

Value look_up(Evaluator& e, Value item, const Value::Items& path,
              const std::optional<Value>& fallback = std::nullopt) {
  for (const Value& part : path) {
    e.step();
    item = e.getitem(item, part);
    if (fallback && item.is(Kind::Undefined)) item = *fallback;
  }
  return item;
}

Value ignore_case(Value v) { return v.is(Kind::String) ? Value::string(to_lower(v.text())) : v; }

Value do_length(Evaluator&, const Value& v, const Args& args) {
  no_arguments("length", args);
  return Value::integer(v.length());
}

Value do_list(Evaluator& e, const Value& v, const Args& args) {
  no_arguments("list", args);
  return Value::list(items_of(e, v));
}

Value do_first(Evaluator&, const Value& v, const Args& args) {
  no_arguments("first", args);
  if (v.is(Kind::Generator)) {
    auto& items = static_cast<ItemsNode&>(*v.node()).items;
    if (items.empty()) return Value::undefined("no first item, sequence was empty");
    Value first = std::move(items.front());
    items.erase(items.begin());
    return first;
  }
  if (v.is(Kind::String) && !v.text().empty()) {
    return Value::string(v.text().substr(0, char_bytes(v.text()[0])));
  }
  const auto items = v.iterate();
  return items.empty() ? Value::undefined("no first item, sequence was empty") : items.front();
}

Value do_last(Evaluator&, const Value& v, const Args& args) {
  no_arguments("last", args);
  if (v.is(Kind::Generator) || v.is(Kind::Loop)) {
    fail("'" + v.type_name() + "' object is not reversible");
  }
  const auto items = v.iterate();
  return items.empty() ? Value::undefined("no last item, sequence was empty") : items.back();
}

Value do_reverse(Evaluator& e, const Value& v, const Args& args) {
  no_arguments("reverse", args);
  if (v.is(Kind::String)) {
    auto points = decode(v.text());
    std::reverse(points.begin(), points.end());
    return Value::string(encode(points), v.is_markup());
  }
  auto items = items_of(e, v);
  std::reverse(items.begin(), items.end());
  return v.is(Kind::Generator) ? Value::list(std::move(items)) : Value::generator(std::move(items));
}

Value do_join(Evaluator& e, const Value& v, const Args& args) {
  const auto a = bind("join", args, {"d", "attribute"}, 0);
  const std::string separator = a[0] ? to_text(*a[0]) : "";
  const auto path = given(a[1]) ? attribute_path(*a[1]) : Value::Items{};
  BoundedText out;
  bool first = true;
  for (const Value& item : items_of(e, v)) {
    if (!first) out.add(separator);
    first = false;
    out.add(to_text(look_up(e, item, path)));
  }
  return Value::string(out.take());
}

Value do_items(Evaluator& e, const Value& v, const Args& args) {
  no_arguments("items", args);
  Value::Items out;
  if (v.is(Kind::Undefined)) return Value::generator({});
  if (!v.is(Kind::Dict)) fail("can only get item pairs from a mapping");
  e.step(v.pairs().size());
  for (const auto& [key, value] : v.pairs()) out.push_back(Value::tuple({key, value}));
  return Value::generator(std::move(out));
}

Value do_map(Evaluator& e, const Value& v, const Args& args) {
  std::function<Value(const Value&)> convert;
  if (args.positional.empty()) {
    const auto a = bind("map", args, {"attribute", "default"}, 1);
    const auto path = attribute_path(*a[0]);
    const auto fallback = given(a[1]) ? a[1] : std::nullopt;
    convert = [&e, path, fallback](const Value& item) { return look_up(e, item, path, fallback); };
  } else {
    const std::string name = string_of(args.positional[0]);
    Args rest{{args.positional.begin() + 1, args.positional.end()}, args.named};
    convert = [&e, name, rest](const Value& item) { return e.filter(name, item, rest); };
  }
  Value::Items out;
  if (!v.truthy()) return Value::generator({});
  for (const Value& item : items_of(e, v)) out.push_back(convert(item));
  return Value::generator(std::move(out));
}

/// select, reject, selectattr, rejectattr.
template <bool kAttribute, bool kKeep>
Value do_select(Evaluator& e, const Value& v, const Args& args) {
  const std::size_t off = kAttribute ? 1 : 0;
  if (args.positional.size() < off) fail("selectattr: an attribute name is missing");
  const auto path = kAttribute ? attribute_path(args.positional[0]) : Value::Items{};
  const bool tested = args.positional.size() > off;
  const std::string name = tested ? string_of(args.positional[off]) : "";
  Args rest;
  if (tested) {
    rest.positional.assign(args.positional.begin() + static_cast<std::ptrdiff_t>(off) + 1,
                           args.positional.end());
    rest.named = args.named;
  }
  Value::Items out;
  if (!v.truthy()) return Value::generator({});
  for (Value& item : items_of(e, v)) {
    const Value subject = look_up(e, item, path);
    const bool holds = tested ? e.test(name, subject, rest) : subject.truthy();
    if (holds == kKeep) out.push_back(std::move(item));
  }
  return Value::generator(std::move(out));
}

using Keyed = std::pair<Value, Value>;  // key, item

std::vector<Keyed> sorted(Evaluator& e, std::vector<Keyed> keyed, bool reverse) {
  e.step(keyed.size() * 8);
  std::stable_sort(keyed.begin(), keyed.end(), [&](const Keyed& a, const Keyed& b) {
    return reverse ? order(b.first, a.first, "<") == -1 : order(a.first, b.first, "<") == -1;
  });
  return keyed;
}

Value do_sort(Evaluator& e, const Value& v, const Args& args) {
  const auto a = bind("sort", args, {"reverse", "case_sensitive", "attribute"}, 0);
  const bool exact = a[1] && a[1]->truthy();
  std::vector<Value::Items> paths;
  if (given(a[2]) && a[2]->is(Kind::String)) {
    std::string rest = a[2]->text();
    for (auto comma = rest.find(','); comma != std::string::npos; comma = rest.find(',')) {
      paths.push_back(attribute_path(Value::string(rest.substr(0, comma))));
      rest.erase(0, comma + 1);
    }
    paths.push_back(attribute_path(Value::string(rest)));
  } else {
    paths.push_back(attribute_path(a[2].value_or(Value::none())));
  }
  std::vector<Keyed> keyed;
  for (Value& item : items_of(e, v)) {
    Value::Items key;
    for (const auto& path : paths) {
      Value part = look_up(e, item, path);
      key.push_back(exact ? part : ignore_case(part));
    }
    keyed.emplace_back(Value::list(std::move(key)), std::move(item));
  }
  Value::Items out;
  for (auto& [key, item] : sorted(e, std::move(keyed), a[0] && a[0]->truthy())) {
    out.push_back(std::move(item));
  }
  return Value::list(std::move(out));
}

Value do_dictsort(Evaluator& e, const Value& v, const Args& args) {
  const auto a = bind("dictsort", args, {"case_sensitive", "by", "reverse"}, 0);
  const bool exact = a[0] && a[0]->truthy();
  const std::string by = a[1] ? to_text(*a[1]) : "key";
  if (by != "key" && by != "value") fail("dictsort: by must be 'key' or 'value'");
  if (v.is(Kind::Undefined)) fail_undefined(v);
  if (!v.is(Kind::Dict)) fail("'" + v.type_name() + "' object has no attribute 'items'");
  std::vector<Keyed> keyed;
  for (const auto& [key, value] : v.pairs()) {
    const Value& subject = by == "key" ? key : value;
    keyed.emplace_back(exact ? subject : ignore_case(subject), Value::tuple({key, value}));
  }
  Value::Items out;
  for (auto& [key, item] : sorted(e, std::move(keyed), a[2] && a[2]->truthy())) {
    out.push_back(std::move(item));
  }
  return Value::list(std::move(out));
}

Value do_unique(Evaluator& e, const Value& v, const Args& args) {
  const auto a = bind("unique", args, {"case_sensitive", "attribute"}, 0);
  const bool exact = a[0] && a[0]->truthy();
  const auto path = attribute_path(a[1].value_or(Value::none()));
  std::set<std::string> seen;
  Value::Items out;
  for (Value& item : items_of(e, v)) {
    const Value subject = look_up(e, item, path);
    const std::string key = hash_key(exact ? subject : ignore_case(subject));
    if (seen.insert(key).second) out.push_back(std::move(item));
  }
  return Value::generator(std::move(out));
}

template <bool kMax>
Value do_extreme(Evaluator& e, const Value& v, const Args& args) {
  const auto a = bind(kMax ? "max" : "min", args, {"case_sensitive", "attribute"}, 0);
  const bool exact = a[0] && a[0]->truthy();
  const auto path = attribute_path(a[1].value_or(Value::none()));
  std::optional<Keyed> best;
  for (Value& item : items_of(e, v)) {
    Value subject = look_up(e, item, path);
    Value key = exact ? std::move(subject) : ignore_case(std::move(subject));
    const bool better =
        !best || (kMax ? order(key, best->first, ">") == 1 : order(key, best->first, "<") == -1);
    if (better) best.emplace(std::move(key), std::move(item));
  }
  return best ? best->second : Value::undefined("no aggregated item, sequence was empty");
}

Value do_sum(Evaluator& e, const Value& v, const Args& args) {
  const auto a = bind("sum", args, {"attribute", "start"}, 0);
  const auto path = attribute_path(a[0].value_or(Value::none()));
  Value total = a[1].value_or(Value::integer(0));
  if (total.is(Kind::String)) fail("sum() can't sum strings");
  for (const Value& item : items_of(e, v)) {
    total = binary_operator("+", total, look_up(e, item, path));
    e.charge(total);
  }
  return total;
}

Value do_batch(Evaluator& e, const Value& v, const Args& args) {
  const auto a = bind("batch", args, {"linecount", "fill_with"}, 1);
  const std::int64_t size = integer_of(*a[0]);
  if (size < 1) fail_unsupported("batch with fewer than one item a line");
  Value::Items out;
  Value::Items line;
  for (Value& item : items_of(e, v)) {
    if (static_cast<std::int64_t>(line.size()) == size) {
      out.push_back(Value::list(std::move(line)));
      line.clear();
    }
    line.push_back(std::move(item));
  }
  if (!line.empty()) {
    if (given(a[1])) {
      if (size > static_cast<std::int64_t>(Limits::kItems)) fail_limit("a batch is too long");
      line.resize(static_cast<std::size_t>(size), *a[1]);
    }
    out.push_back(Value::list(std::move(line)));
  }
  return Value::generator(std::move(out));
}

Value do_slice(Evaluator& e, const Value& v, const Args& args) {
  const auto a = bind("slice", args, {"slices", "fill_with"}, 1);
  const std::int64_t slices = integer_of(*a[0]);
  if (slices == 0) fail("integer division or modulo by zero");
  if (slices < 0) return Value::generator({});
  if (slices > static_cast<std::int64_t>(Limits::kRange)) fail_limit("slice makes too many parts");
  const auto items = items_of(e, v);
  const auto length = static_cast<std::int64_t>(items.size());
  const std::int64_t each = length / slices;
  const std::int64_t longer = length % slices;
  Value::Items out;
  std::int64_t at = 0;
  for (std::int64_t i = 0; i < slices; ++i) {
    const std::int64_t count = each + (i < longer ? 1 : 0);
    Value::Items part(items.begin() + at, items.begin() + at + count);
    at += count;
    if (given(a[1]) && i >= longer) part.push_back(*a[1]);
    out.push_back(Value::list(std::move(part)));
  }
  return Value::generator(std::move(out));
}

struct Row {
  const char* name;
  Filter filter;
};

constexpr Row kFilters[] = {
    {"batch", do_batch},
    {"count", do_length},
    {"dictsort", do_dictsort},
    {"first", do_first},
    {"items", do_items},
    {"join", do_join},
    {"last", do_last},
    {"length", do_length},
    {"list", do_list},
    {"map", do_map},
    {"max", do_extreme<true>},
    {"min", do_extreme<false>},
    {"reject", do_select<false, false>},
    {"rejectattr", do_select<true, false>},
    {"reverse", do_reverse},
    {"select", do_select<false, true>},
    {"selectattr", do_select<true, true>},
    {"slice", do_slice},
    {"sort", do_sort},
    {"sum", do_sum},
    {"unique", do_unique},
};

}  // namespace

Filter find_sequence_filter(std::string_view name) {
  for (const Row& row : kFilters) {
    if (name == row.name) return row.filter;
  }
  return nullptr;
}

}  // namespace loraproof::text::jinja
