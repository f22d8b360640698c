// SPDX-License-Identifier: Apache-2.0
// The values a template computes with: Python's, as far as chat templates can see them. Everything
// but a namespace, a generator and a loop is immutable (the sandbox of transformers forbids
// append, update and the like), so copies share their nodes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "loraproof/core/json_fwd.h"
#include "loraproof/text/jinja/failure.h"

namespace loraproof::text::jinja {

enum class Kind : std::uint8_t {
  Undefined,
  None,
  Bool,
  Int,
  Float,
  String,
  List,
  Tuple,
  Dict,
  Range,
  View,       ///< dict.items(), keys(), values(): iterable again and again, not indexable.
  Generator,  ///< What map, select and their like return: consumed by its first use.
  Namespace,
  Callable,
  Loop,
};

/// Base of everything a Value points to. `depth` bounds the recursion of printing and freeing.
struct Node {
  virtual ~Node() = default;
  int depth = 1;
};

class Value {
 public:
  using Items = std::vector<Value>;
  using Pairs = std::vector<std::pair<Value, Value>>;

  /// Undefined without a message.
  Value() : int_(0) {}
  /// Undefined; `message` is what an operation on it fails with.
  static Value undefined(std::string message);
  static Value none();
  static Value boolean(bool b);
  static Value integer(std::int64_t i);
  static Value number(double d);
  /// Throws when longer than Limits::kString. `markup`: went through escape or safe.
  static Value string(std::string text, bool markup = false);
  /// List, Tuple or Generator; throws beyond Limits::kItems or kValueDepth.
  static Value sequence(Kind kind, Items items);
  static Value list(Items items) { return sequence(Kind::List, std::move(items)); }
  static Value tuple(Items items) { return sequence(Kind::Tuple, std::move(items)); }
  static Value generator(Items items) { return sequence(Kind::Generator, std::move(items)); }
  /// Later pairs of an equal key win, at the place of the first. Throws for an unhashable key.
  static Value dict(Pairs pairs);
  static Value range(std::int64_t start, std::int64_t stop, std::int64_t step);
  /// `type` is Python's name of it, such as "dict_items".
  static Value view(std::string type, Items items);
  static Value object(Kind kind, std::shared_ptr<Node> node);
  /// Throws for integers that need more than 64 bits and for text that is not UTF-8.
  static Value from_json(const Json& json, int depth = 0);

  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] bool is(Kind kind) const { return kind_ == kind; }
  [[nodiscard]] bool is_number() const {
    return kind_ == Kind::Bool || kind_ == Kind::Int || kind_ == Kind::Float;
  }
  [[nodiscard]] bool is_integral() const { return kind_ == Kind::Bool || kind_ == Kind::Int; }

  /// Unchecked accessors: the caller has looked at kind().
  [[nodiscard]] std::int64_t as_int() const { return int_; }
  [[nodiscard]] double as_double() const {
    return kind_ == Kind::Float ? float_ : static_cast<double>(int_);
  }
  [[nodiscard]] const std::string& text() const;
  [[nodiscard]] bool is_markup() const;
  [[nodiscard]] const Items& items() const;          ///< List, Tuple, View
  [[nodiscard]] const Pairs& pairs() const;          ///< Dict
  [[nodiscard]] const std::string& message() const;  ///< Undefined
  [[nodiscard]] const std::shared_ptr<Node>& node() const { return node_; }

  /// Python's name of the type: "str", "int", "NoneType", "Undefined"...
  [[nodiscard]] std::string type_name() const;
  [[nodiscard]] bool truthy() const;
  /// len(); throws where Python does.
  [[nodiscard]] std::int64_t length() const;
  /// All items as iter() gives them (characters, keys...). Uses up a generator.
  [[nodiscard]] Items iterate() const;
  [[nodiscard]] bool iterable() const;
  /// The value of a dict's key, or nullptr.
  [[nodiscard]] const Value* find(const Value& key) const;
  [[nodiscard]] const Value* find(std::string_view key) const;

 private:
  Kind kind_ = Kind::Undefined;
  union {
    std::int64_t int_;
    double float_;
  };
  std::shared_ptr<Node> node_;
};

struct StringNode : Node {
  std::string text;
  bool markup = false;
};
struct ItemsNode : Node {
  Value::Items items;
  std::string type;  ///< of a View
};
struct DictNode : Node {
  Value::Pairs pairs;
  std::unordered_map<std::string, std::size_t> index;  ///< by hash_key, for larger ones
};
struct RangeNode : Node {
  std::int64_t start = 0, stop = 0, step = 1, count = 0;
};
struct NamespaceNode : Node {
  Value::Pairs pairs;
};

/// Python's ==, never throws for defined values.
[[nodiscard]] bool equal(const Value& a, const Value& b);
/// Negative, 0 or positive; throws a TypeError where Python does. NaN compares as unordered (2).
[[nodiscard]] int order(const Value& a, const Value& b, std::string_view op);
/// `item in container`.
[[nodiscard]] bool contains(const Value& container, const Value& item);
/// A string that is equal for equal hashable values; throws for the unhashable.
[[nodiscard]] std::string hash_key(const Value& value);
/// Fails with the message of an undefined value.
[[noreturn]] void fail_undefined(const Value& value);

}  // namespace loraproof::text::jinja
