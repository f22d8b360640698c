// SPDX-License-Identifier: Apache-2.0
// object.name and object[key] as the immutable sandbox sees them, the methods of containers, and
// the binding of call arguments.
#include <algorithm>
#include <set>

#include "loraproof/text/jinja/evaluator.h"
#include "loraproof/text/jinja/operators.h"
#include "loraproof/text/jinja/print.h"
#include "loraproof/text/jinja/unicode.h"

namespace loraproof::text::jinja {
namespace {

using Names = std::set<std::string, std::less<>>;

struct MethodNode : CallableNode {
  Value self;
  Method method = nullptr;
  Value call(Evaluator& evaluator, const Args& args) override {
    return method(evaluator, self, args);
  }
};

struct FunctionNode : CallableNode {
  Function function = nullptr;
  Value call(Evaluator& evaluator, const Args& args) override { return function(evaluator, args); }
};

Value unsafe(const Value& object, const std::string& name) {
  return Value::undefined("access to attribute '" + name + "' of '" + object.type_name() +
                          "' object is unsafe");
}

Value pair_of(const std::pair<Value, Value>& pair) {
  return Value::tuple({pair.first, pair.second});
}

Value dict_items(Evaluator& e, const Value& self, const Args& args) {
  no_arguments("items", args);
  e.step(self.pairs().size());
  Value::Items items;
  for (const auto& pair : self.pairs()) items.push_back(pair_of(pair));
  return Value::view("dict_items", std::move(items));
}

Value dict_keys(Evaluator&, const Value& self, const Args& args) {
  no_arguments("keys", args);
  return Value::view("dict_keys", self.iterate());
}

Value dict_values(Evaluator&, const Value& self, const Args& args) {
  no_arguments("values", args);
  Value::Items items;
  for (const auto& pair : self.pairs()) items.push_back(pair.second);
  return Value::view("dict_values", std::move(items));
}

Value dict_get(Evaluator&, const Value& self, const Args& args) {
  const auto a = bind("get", args, {"key", "default"}, 1, false);
  if (a[0]->is(Kind::List) || a[0]->is(Kind::Dict)) (void)hash_key(*a[0]);
  const Value* found = self.find(*a[0]);
  return found != nullptr ? *found : a[1].value_or(Value::none());
}

Value copy_self(Evaluator&, const Value& self, const Args& args) {
  no_arguments("copy", args);
  return self;
}

Value sequence_count(Evaluator& e, const Value& self, const Args& args) {
  const auto a = bind("count", args, {"value"}, 1, false);
  const auto items = self.iterate();
  e.step(items.size());
  return Value::integer(
      std::count_if(items.begin(), items.end(), [&](const Value& v) { return equal(v, *a[0]); }));
}

Value sequence_index(Evaluator& e, const Value& self, const Args& args) {
  const auto a = bind("index", args, {"value", "start", "stop"}, 1, false);
  const auto items = self.iterate();
  e.step(items.size());
  const auto size = static_cast<std::int64_t>(items.size());
  const auto bound = [&](const std::optional<Value>& v, std::int64_t fallback) {
    if (!v) return fallback;
    const std::int64_t i = integer_of(*v);
    return std::clamp<std::int64_t>(i < 0 ? i + size : i, 0, size);
  };
  for (std::int64_t i = bound(a[1], 0); i < bound(a[2], size); ++i) {
    if (equal(items[static_cast<std::size_t>(i)], *a[0])) return Value::integer(i);
  }
  fail(to_repr(*a[0]) + " is not in " + self.type_name());
}

std::optional<Value> dict_attribute(const Value& self, const std::string& name) {
  static const Names mutating = {"clear", "pop", "popitem", "setdefault", "update"};
  if (name == "items") return make_method(name, self, dict_items);
  if (name == "keys") return make_method(name, self, dict_keys);
  if (name == "values") return make_method(name, self, dict_values);
  if (name == "get") return make_method(name, self, dict_get);
  if (name == "copy") return make_method(name, self, copy_self);
  if (mutating.count(name) != 0) return unsafe(self, name);
  if (name == "fromkeys") fail_unsupported("the method 'fromkeys' of dict");
  return std::nullopt;
}

std::optional<Value> sequence_attribute(const Value& self, const std::string& name) {
  static const Names mutating = {"append", "clear",  "extend",  "insert",
                                 "pop",    "remove", "reverse", "sort"};
  if (name == "count") return make_method(name, self, sequence_count);
  if (name == "index") return make_method(name, self, sequence_index);
  if (self.is(Kind::List)) {
    if (name == "copy") return make_method(name, self, copy_self);
    if (mutating.count(name) != 0) return unsafe(self, name);
  }
  return std::nullopt;
}

std::optional<Value> number_attribute(const Value& self, const std::string& name) {
  static const Names known = {
      "as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator",
      "from_bytes",       "fromhex",   "hex",        "imag",      "is_integer",
      "numerator",        "real",      "to_bytes"};
  if (known.count(name) != 0) {
    fail_unsupported("the attribute '" + name + "' of " + self.type_name());
  }
  return std::nullopt;
}

std::string describe_object(const Value& v) {
  return v.is(Kind::None) ? "None" : std::string("'") + v.type_name() + " object'";
}

std::optional<Value> index_into(const Value& object, const Value& key) {
  if (!key.is_integral()) return std::nullopt;
  std::int64_t i = key.as_int();
  const std::int64_t length = object.length();
  if (i < 0) i += length;
  if (i < 0 || i >= length) return std::nullopt;
  if (object.is(Kind::Range)) {
    const auto& r = static_cast<const RangeNode&>(*object.node());
    return Value::integer(r.start + i * r.step);
  }
  if (!object.is(Kind::String)) return object.items()[static_cast<std::size_t>(i)];
  const std::string& text = object.text();
  std::size_t at = 0;
  for (; i > 0; --i) at += char_bytes(text[at]);
  return Value::string(text.substr(at, char_bytes(text[at])));
}

}  // namespace

Value make_method(std::string name, Value self, Method method) {
  auto node = std::make_shared<MethodNode>();
  node->name = std::move(name);
  if (self.node()) node->depth = self.node()->depth + 1;
  node->self = std::move(self);
  node->method = method;
  return Value::object(Kind::Callable, std::move(node));
}

Value make_function(std::string name, Function function) {
  auto node = std::make_shared<FunctionNode>();
  node->name = std::move(name);
  node->function = function;
  return Value::object(Kind::Callable, std::move(node));
}

std::vector<std::optional<Value>> bind(std::string_view function, const Args& args,
                                       std::initializer_list<const char*> names,
                                       std::size_t required, bool keywords) {
  const std::string called(function);
  std::vector<std::optional<Value>> out(names.size());
  if (args.positional.size() > names.size()) {
    fail(called + "() takes at most " + std::to_string(names.size()) + " arguments (" +
         std::to_string(args.positional.size()) + " given)");
  }
  std::copy(args.positional.begin(), args.positional.end(), out.begin());
  for (const auto& [name, value] : args.named) {
    const auto it = std::find(names.begin(), names.end(), name);
    if (it == names.end() || !keywords) {
      fail(called + "() takes no keyword argument '" + name + "'");
    }
    auto& slot = out[static_cast<std::size_t>(it - names.begin())];
    if (slot) fail(called + "() got two values for the argument '" + name + "'");
    slot = value;
  }
  for (std::size_t i = 0; i < required; ++i) {
    if (!out[i]) fail(called + "() misses the argument '" + names.begin()[i] + "'");
  }
  return out;
}

void no_arguments(std::string_view function, const Args& args) {
  (void)bind(function, args, {}, 0);
}

std::int64_t integer_of(const Value& value) {
  if (value.is(Kind::Undefined)) fail_undefined(value);
  if (!value.is_integral()) {
    fail("'" + value.type_name() + "' object cannot be interpreted as an integer");
  }
  return value.as_int();
}

const std::string& string_of(const Value& value) {
  if (!value.is(Kind::String)) fail("a string is needed, not '" + value.type_name() + "'");
  return value.text();
}

std::optional<Value> own_attribute(const Value& object, const std::string& name) {
  switch (object.kind()) {
    case Kind::String:
      if (object.is_markup()) fail_unsupported("methods of escaped text");
      return string_method(object, name);
    case Kind::Dict: return dict_attribute(object, name);
    case Kind::List:
    case Kind::Tuple: return sequence_attribute(object, name);
    case Kind::Bool:
    case Kind::Int:
    case Kind::Float: return number_attribute(object, name);
    case Kind::Loop: return loop_attribute(object, name);
    case Kind::Namespace:
      for (const auto& [key, value] : static_cast<const NamespaceNode&>(*object.node()).pairs) {
        if (key.text() == name) return value;
      }
      return std::nullopt;
    case Kind::Range:
      if (name == "start" || name == "stop" || name == "step" || name == "count" ||
          name == "index") {
        fail_unsupported("the attribute '" + name + "' of range");
      }
      return std::nullopt;
    case Kind::Callable:
      if (name == "name" || name == "arguments" || name == "caller" || name == "catch_kwargs" ||
          name == "catch_varargs") {
        fail_unsupported("the attribute '" + name + "' of a macro");
      }
      return std::nullopt;
    default: return std::nullopt;
  }
}

Value Evaluator::getattr(const Value& object, const std::string& name) {
  if (object.is(Kind::Undefined)) fail_undefined(object);
  if (auto own = own_attribute(object, name)) return *own;
  if (object.is(Kind::Dict)) {
    if (const Value* found = object.find(name)) return *found;
  }
  return Value::undefined(describe_object(object) + " has no attribute '" + name + "'");
}

Value Evaluator::getitem(const Value& object, const Value& key) {
  switch (object.kind()) {
    case Kind::Undefined: fail_undefined(object);
    case Kind::Dict:
      if (!key.is(Kind::List) && !key.is(Kind::Dict)) {
        if (const Value* found = object.find(key)) return *found;
      }
      break;
    case Kind::String:
    case Kind::List:
    case Kind::Tuple:
    case Kind::Range:
      if (object.is(Kind::String)) step(object.text().size() / 256);
      if (auto item = index_into(object, key)) return *item;
      break;
    default: break;
  }
  if (key.is(Kind::String)) {
    if (auto own = own_attribute(object, key.text())) return *own;
    return Value::undefined(describe_object(object) + " has no attribute '" + key.text() + "'");
  }
  const bool plain = key.kind() <= Kind::String;
  return Value::undefined(describe_object(object) + " has no element " +
                          (plain ? to_repr(key) : "of that key"));
}

}  // namespace loraproof::text::jinja
