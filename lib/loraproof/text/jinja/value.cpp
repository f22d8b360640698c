// SPDX-License-Identifier: Apache-2.0
#include "loraproof/text/jinja/value.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "loraproof/core/json.h"
#include "loraproof/text/jinja/print.h"
#include "loraproof/text/jinja/unicode.h"

namespace loraproof::text::jinja {
namespace {

struct MessageNode : Node {
  std::string message;
};

constexpr std::size_t kIndexFrom = 9;  // Below this a walk beats hashing.

int depth_over(int deepest) {
  if (deepest >= Limits::kValueDepth) fail_limit("values are nested too deep");
  return deepest + 1;
}

int depth_of(const Value& v) { return v.node() ? v.node()->depth : 0; }

template <typename N>
const N& node_as(const Value& v) {
  return static_cast<const N&>(*v.node());
}

bool equal_items(const Value::Items& a, const Value::Items& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), equal);
}

Value json_integer(const Json& json) {
  if (json.is_number_unsigned() &&
      json.get<std::uint64_t>() >
          static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    fail_unsupported("integers of more than 64 bits");
  }
  return Value::integer(json.get<std::int64_t>());
}

}  // namespace

Value Value::undefined(std::string message) {
  Value v;
  auto node = std::make_shared<MessageNode>();
  node->message = std::move(message);
  v.node_ = std::move(node);
  return v;
}

Value Value::none() {
  Value v;
  v.kind_ = Kind::None;
  return v;
}

Value Value::boolean(bool b) {
  Value v;
  v.kind_ = Kind::Bool;
  v.int_ = b ? 1 : 0;
  return v;
}

Value Value::integer(std::int64_t i) {
  Value v;
  v.kind_ = Kind::Int;
  v.int_ = i;
  return v;
}

Value Value::number(double d) {
  Value v;
  v.kind_ = Kind::Float;
  v.float_ = d;
  return v;
}

Value Value::object(Kind kind, std::shared_ptr<Node> node) {
  Value v;
  v.kind_ = kind;
  v.node_ = std::move(node);
  return v;
}

Value Value::string(std::string text, bool markup) {
  if (text.size() > Limits::kString) fail_limit("a string of the template grows too long");
  auto node = std::make_shared<StringNode>();
  node->text = std::move(text);
  node->markup = markup;
  return object(Kind::String, std::move(node));
}

Value Value::sequence(Kind kind, Items items) {
  if (items.size() > Limits::kItems) fail_limit("a list of the template grows too long");
  auto node = std::make_shared<ItemsNode>();
  int deepest = 0;
  for (const Value& item : items) deepest = std::max(deepest, depth_of(item));
  node->depth = depth_over(deepest);
  node->items = std::move(items);
  return object(kind, std::move(node));
}

Value Value::view(std::string type, Items items) {
  Value v = sequence(Kind::View, std::move(items));
  static_cast<ItemsNode&>(*v.node_).type = std::move(type);
  return v;
}

Value Value::dict(Pairs pairs) {
  auto node = std::make_shared<DictNode>();
  int deepest = 0;
  std::unordered_map<std::string, std::size_t> index;
  for (auto& [key, value] : pairs) {
    deepest = std::max({deepest, depth_of(key), depth_of(value)});
    const auto [it, fresh] = index.emplace(hash_key(key), node->pairs.size());
    if (fresh) {
      node->pairs.emplace_back(std::move(key), std::move(value));
    } else {
      node->pairs[it->second].second = std::move(value);
    }
  }
  node->depth = depth_over(deepest);
  if (node->pairs.size() >= kIndexFrom) node->index = std::move(index);
  return object(Kind::Dict, std::move(node));
}

Value Value::range(std::int64_t start, std::int64_t stop, std::int64_t step) {
  if (step == 0) fail("range() arg 3 must not be zero");
  auto node = std::make_shared<RangeNode>();
  const long double span =
      step > 0 ? static_cast<long double>(stop) - start : static_cast<long double>(start) - stop;
  const long double stride = std::fabs(static_cast<long double>(step));
  const long double count = span <= 0 ? 0 : std::ceil(span / stride);
  if (count > static_cast<long double>(Limits::kRange)) {
    fail("range too big: the sandbox allows 100000 items");
  }
  node->start = start;
  node->stop = stop;
  node->step = step;
  node->count = static_cast<std::int64_t>(count);
  return object(Kind::Range, std::move(node));
}

Value Value::from_json(const Json& json, int depth) {
  if (depth >= Limits::kValueDepth) fail_limit("values are nested too deep");
  switch (json.type()) {
    case Json::value_t::null: return none();
    case Json::value_t::boolean: return boolean(json.get<bool>());
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned: return json_integer(json);
    case Json::value_t::number_float: return number(json.get<double>());
    case Json::value_t::string: {
      const auto& text = json.get_ref<const std::string&>();
      if (!valid_utf8(text)) fail("a message holds text that is not UTF-8");
      return string(text);
    }
    case Json::value_t::array: {
      Items items;
      items.reserve(json.size());
      for (const auto& item : json) items.push_back(from_json(item, depth + 1));
      return list(std::move(items));
    }
    case Json::value_t::object: {
      Pairs pairs;
      pairs.reserve(json.size());
      for (const auto& [key, item] : json.items()) {
        if (!valid_utf8(key)) fail("a message holds text that is not UTF-8");
        pairs.emplace_back(string(key), from_json(item, depth + 1));
      }
      return dict(std::move(pairs));
    }
    default: fail("a message holds a value that is not JSON");
  }
}

const std::string& Value::text() const { return node_as<StringNode>(*this).text; }
bool Value::is_markup() const { return is(Kind::String) && node_as<StringNode>(*this).markup; }
const Value::Items& Value::items() const { return node_as<ItemsNode>(*this).items; }
const Value::Pairs& Value::pairs() const { return node_as<DictNode>(*this).pairs; }

const std::string& Value::message() const {
  static const std::string empty = "a value is undefined";
  return node_ ? node_as<MessageNode>(*this).message : empty;
}

void fail_undefined(const Value& value) { fail(value.message()); }

std::string Value::type_name() const {
  switch (kind_) {
    case Kind::Undefined: return "Undefined";
    case Kind::None: return "NoneType";
    case Kind::Bool: return "bool";
    case Kind::Int: return "int";
    case Kind::Float: return "float";
    case Kind::String: return is_markup() ? "Markup" : "str";
    case Kind::List: return "list";
    case Kind::Tuple: return "tuple";
    case Kind::Dict: return "dict";
    case Kind::Range: return "range";
    case Kind::View: return node_as<ItemsNode>(*this).type;
    case Kind::Generator: return "generator";
    case Kind::Namespace: return "Namespace";
    case Kind::Callable: return "function";
    case Kind::Loop: return "LoopContext";
  }
  return "object";
}

bool Value::truthy() const {
  switch (kind_) {
    case Kind::Undefined:
    case Kind::None: return false;
    case Kind::Bool:
    case Kind::Int: return int_ != 0;
    case Kind::Float: return float_ != 0.0;
    case Kind::String: return !text().empty();
    case Kind::List:
    case Kind::Tuple:
    case Kind::View: return !items().empty();
    case Kind::Dict: return !pairs().empty();
    case Kind::Range: return node_as<RangeNode>(*this).count != 0;
    default: return true;
  }
}

std::int64_t Value::length() const {
  switch (kind_) {
    case Kind::Undefined: return 0;
    case Kind::String: return static_cast<std::int64_t>(count_points(text()));
    case Kind::List:
    case Kind::Tuple:
    case Kind::View: return static_cast<std::int64_t>(items().size());
    case Kind::Dict: return static_cast<std::int64_t>(pairs().size());
    case Kind::Range: return node_as<RangeNode>(*this).count;
    default: fail("object of type '" + type_name() + "' has no len()");
  }
}

bool Value::iterable() const {
  switch (kind_) {
    case Kind::None:
    case Kind::Bool:
    case Kind::Int:
    case Kind::Float:
    case Kind::Namespace:
    case Kind::Callable: return false;
    default: return true;
  }
}

Value::Items Value::iterate() const {
  Items out;
  switch (kind_) {
    case Kind::Undefined: return out;
    case Kind::String: {
      const std::string& s = text();
      if (s.size() > Limits::kItems && count_points(s) > Limits::kItems) {
        fail_limit("a string of the template has too many characters to walk");
      }
      for (std::size_t i = 0; i < s.size();) {
        const std::size_t n = char_bytes(s[i]);
        out.push_back(string(s.substr(i, n)));
        i += n;
      }
      return out;
    }
    case Kind::List:
    case Kind::Tuple:
    case Kind::View: return items();
    case Kind::Dict:
      for (const auto& [key, value] : pairs()) out.push_back(key);
      return out;
    case Kind::Range: {
      const auto& r = node_as<RangeNode>(*this);
      for (std::int64_t i = 0; i < r.count; ++i) out.push_back(integer(r.start + i * r.step));
      return out;
    }
    case Kind::Generator: {
      auto& node = static_cast<ItemsNode&>(*node_);
      out.swap(node.items);
      return out;
    }
    case Kind::Loop: fail_unsupported("iterating over 'loop'");
    default: fail("'" + type_name() + "' object is not iterable");
  }
}

const Value* Value::find(std::string_view key) const {
  const auto& node = node_as<DictNode>(*this);
  if (!node.index.empty()) {
    const auto it = node.index.find(std::string("s").append(key));
    return it == node.index.end() ? nullptr : &node.pairs[it->second].second;
  }
  for (const auto& [k, v] : node.pairs) {
    if (k.is(Kind::String) && k.text() == key) return &v;
  }
  return nullptr;
}

const Value* Value::find(const Value& key) const {
  if (key.is(Kind::String)) return find(key.text());
  const std::string wanted = hash_key(key);
  for (const auto& [k, v] : pairs()) {
    if (!k.is(Kind::String) && hash_key(k) == wanted) return &v;
  }
  return nullptr;
}

std::string hash_key(const Value& v) {
  switch (v.kind()) {
    case Kind::None: return "n";
    case Kind::String: return "s" + v.text();
    case Kind::Bool:
    case Kind::Int: return std::string("i") + std::to_string(v.as_int());
    case Kind::Float: {
      const double d = v.as_double();
      if (std::floor(d) == d && std::fabs(d) < 9.2e18) {
        return std::string("i") + std::to_string(static_cast<std::int64_t>(d));
      }
      return std::string("f") + repr_float(d);
    }
    case Kind::Tuple: {
      std::string key = "t(";
      for (const Value& item : v.items()) {
        const std::string part = hash_key(item);
        key += std::to_string(part.size()) + ":" + part;
      }
      return key + ")";
    }
    case Kind::Undefined: return "u";
    case Kind::List:
    case Kind::Dict: fail("unhashable type: '" + v.type_name() + "'");
    default: fail_unsupported("a " + v.type_name() + " as a key");
  }
}

bool equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return a.as_int() == b.as_int();
    const auto wide = [](const Value& v) {
      return v.is_integral() ? static_cast<long double>(v.as_int())
                             : static_cast<long double>(v.as_double());
    };
    return wide(a) == wide(b);
  }
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::Undefined:
    case Kind::None: return true;
    case Kind::String: return a.text() == b.text();
    case Kind::List:
    case Kind::Tuple: return equal_items(a.items(), b.items());
    case Kind::Range: return equal_items(a.iterate(), b.iterate());
    case Kind::Dict:
      return a.pairs().size() == b.pairs().size() &&
             std::all_of(a.pairs().begin(), a.pairs().end(), [&](const auto& pair) {
               const Value* other = b.find(pair.first);
               return other != nullptr && equal(pair.second, *other);
             });
    default: return a.node() == b.node();
  }
}

int order(const Value& a, const Value& b, std::string_view op) {
  if (a.is(Kind::Undefined)) fail_undefined(a);
  if (b.is(Kind::Undefined)) fail_undefined(b);
  const auto three_way = [](const auto& x, const auto& y) { return x < y ? -1 : x > y ? 1 : 0; };
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return three_way(a.as_int(), b.as_int());
    if (std::isnan(a.as_double()) || std::isnan(b.as_double())) return 2;
    const auto wide = [](const Value& v) {
      return v.is_integral() ? static_cast<long double>(v.as_int())
                             : static_cast<long double>(v.as_double());
    };
    return three_way(wide(a), wide(b));
  }
  if (a.kind() == b.kind()) {
    if (a.is(Kind::String)) return three_way(a.text(), b.text());
    if (a.is(Kind::List) || a.is(Kind::Tuple)) {
      const auto& x = a.items();
      const auto& y = b.items();
      for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
        if (!equal(x[i], y[i])) return order(x[i], y[i], op);
      }
      return three_way(x.size(), y.size());
    }
  }
  fail("'" + std::string(op) + "' not supported between instances of '" + a.type_name() +
       "' and '" + b.type_name() + "'");
}

bool contains(const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::String:
      if (!item.is(Kind::String)) {
        fail("'in <string>' requires string as left operand, not " + item.type_name());
      }
      return container.text().find(item.text()) != std::string::npos;
    case Kind::Dict:
      if (item.is(Kind::List) || item.is(Kind::Dict)) (void)hash_key(item);
      return container.find(item) != nullptr;
    case Kind::Generator: {
      auto& items = static_cast<ItemsNode&>(*container.node()).items;
      const auto it =
          std::find_if(items.begin(), items.end(), [&](const Value& v) { return equal(v, item); });
      const bool found = it != items.end();
      items.erase(items.begin(), found ? it + 1 : it);
      return found;
    }
    default: break;
  }
  if (!container.iterable()) {
    fail("argument of type '" + container.type_name() + "' is not iterable");
  }
  const auto items = container.iterate();
  return std::any_of(items.begin(), items.end(), [&](const Value& v) { return equal(v, item); });
}

}  // namespace loraproof::text::jinja
