// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "loraproof/text/jinja/depth_guard.h"
#include "loraproof/text/jinja/evaluator.h"
#include "loraproof/text/jinja/operators.h"
#include "loraproof/text/jinja/print.h"
#include "loraproof/text/jinja/tables.h"

namespace loraproof::text::jinja {

Value Evaluator::eval(const Expr& e) {
  const DepthGuard guard(*this);
  try {
    step();
    return eval_inner(e);
  } catch (const Failure& failure) {
    if (failure.line() != 0) throw;
    throw Failure(failure.kind(), failure.what(), e.line);
  }
}

Value Evaluator::eval_inner(const Expr& e) {
  switch (e.kind) {
    case ExprKind::Const: return e.value;
    case ExprKind::Name: return eval_name(e);
    case ExprKind::NamespaceRef: break;
    case ExprKind::Tuple:
    case ExprKind::List: return eval_items(e);
    case ExprKind::Dict: return eval_dict(e);
    case ExprKind::Getattr: return getattr(eval(*e.left), e.text);
    case ExprKind::Getitem: {
      const Value object = eval(*e.left);
      return getitem(object, eval(*e.right));
    }
    case ExprKind::Slice: return eval_slice(e);
    case ExprKind::Call: {
      const Value callee = eval(*e.left);
      return charged(call(callee, eval_arguments(*e.arguments)));
    }
    case ExprKind::Filter: return eval_filter(e);
    case ExprKind::Test: {
      const Value value = eval(*e.left);
      return Value::boolean(test(e.text, value, eval_arguments(*e.arguments)));
    }
    case ExprKind::Cond:
      if (eval(*e.test).truthy()) return eval(*e.left);
      if (e.right) return eval(*e.right);
      return Value::undefined("the inline if-expression on line " + std::to_string(e.line) +
                              " evaluated to false and no else section was defined");
    case ExprKind::And: {
      Value left = eval(*e.left);
      return left.truthy() ? eval(*e.right) : left;
    }
    case ExprKind::Or: {
      Value left = eval(*e.left);
      return left.truthy() ? left : eval(*e.right);
    }
    case ExprKind::Not: return Value::boolean(!eval(*e.left).truthy());
    case ExprKind::Negate: return negate(eval(*e.left));
    case ExprKind::Plus: {
      Value value = eval(*e.left);
      if (value.is(Kind::Undefined)) fail_undefined(value);
      if (!value.is_number()) fail("bad operand type for unary +: '" + value.type_name() + "'");
      return value.is(Kind::Bool) ? Value::integer(value.as_int()) : value;
    }
    case ExprKind::Binary: {
      const Value left = eval(*e.left);
      return charged(binary_operator(e.text, left, eval(*e.right)));
    }
    case ExprKind::Concat: return eval_concat(e);
    case ExprKind::Compare: return eval_compare(e);
  }
  fail("an expression cannot be evaluated");
}

Value Evaluator::eval_name(const Expr& e) {
  const Value* found = scope_->find(e.text);
  return found != nullptr ? *found : Value::undefined("'" + e.text + "' is undefined");
}

Value Evaluator::eval_items(const Expr& e) {
  Value::Items items;
  for (const auto& item : e.items) items.push_back(eval(*item));
  return charged(
      Value::sequence(e.kind == ExprKind::List ? Kind::List : Kind::Tuple, std::move(items)));
}

Value Evaluator::eval_dict(const Expr& e) {
  Value::Pairs pairs;
  for (std::size_t i = 0; i + 1 < e.items.size(); i += 2) {
    Value key = eval(*e.items[i]);
    pairs.emplace_back(std::move(key), eval(*e.items[i + 1]));
  }
  return charged(Value::dict(std::move(pairs)));
}

Value Evaluator::eval_slice(const Expr& e) {
  const Value object = eval(*e.left);
  const auto part = [&](std::size_t i) {
    return e.items[i] ? std::optional<Value>(eval(*e.items[i])) : std::nullopt;
  };
  const auto start = part(0);
  const auto stop = part(1);
  return charged(slice(object, start, stop, part(2)));
}

Value Evaluator::eval_concat(const Expr& e) {
  BoundedText text;
  for (const auto& item : e.items) {
    const Value value = eval(*item);
    text.add(value.is(Kind::String) ? value.text() : to_text(value));
  }
  return charged(Value::string(text.take()));
}

Value Evaluator::eval_compare(const Expr& e) {
  Value left = eval(*e.items[0]);
  for (std::size_t i = 0; i < e.ops.size(); ++i) {
    Value right = eval(*e.items[i + 1]);
    const std::string& op = e.ops[i];
    bool holds = false;
    if (op == "==") {
      holds = equal(left, right);
    } else if (op == "!=") {
      holds = !equal(left, right);
    } else if (op == "in" || op == "not in") {
      holds = contains(right, left) == (op == "in");
    } else {
      const int result = order(left, right, op);
      holds = result != 2 && (op == "<"    ? result < 0
                              : op == "<=" ? result <= 0
                              : op == ">"  ? result > 0
                                           : result >= 0);
    }
    if (!holds) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Value Evaluator::eval_filter(const Expr& e) {
  const Value input = e.left ? eval(*e.left) : *filter_input_;
  return charged(filter(e.text, input, eval_arguments(*e.arguments)));
}

Args Evaluator::eval_arguments(const Arguments& arguments) {
  Args out;
  for (const auto& e : arguments.positional) out.positional.push_back(eval(*e));
  for (const auto& [name, e] : arguments.named) out.named.emplace_back(name, eval(*e));
  if (arguments.star) {
    for (Value& item : eval(*arguments.star).iterate()) out.positional.push_back(std::move(item));
  }
  if (arguments.star_star) {
    const Value mapping = eval(*arguments.star_star);
    if (!mapping.is(Kind::Dict)) fail("argument after ** must be a mapping");
    for (const auto& [key, value] : mapping.pairs()) {
      out.named.emplace_back(string_of(key), value);
    }
  }
  for (std::size_t i = 0; i < out.named.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (out.named[i].first == out.named[j].first) {
        fail("keyword argument repeated: " + out.named[i].first);
      }
    }
  }
  return out;
}

Value Evaluator::call(const Value& callee, const Args& args) {
  if (callee.is(Kind::Undefined)) fail_undefined(callee);
  if (callee.is(Kind::Loop)) fail("a loop is only callable with the 'recursive' marker");
  if (!callee.is(Kind::Callable)) fail("'" + callee.type_name() + "' object is not callable");
  // Holds the node: a macro may replace the variable it was called through.
  const auto node = callee.node();
  return static_cast<CallableNode&>(*node).call(*this, args);
}

Value Evaluator::filter(const std::string& name, const Value& value, const Args& args) {
  const DepthGuard guard(*this);
  const Filter function = find_filter(name);
  if (function != nullptr) return function(*this, value, args);
  if (known_filter(name) == Known::Unsupported) fail_unsupported("the filter '" + name + "'");
  fail("there is no filter named '" + name + "'");
}

bool Evaluator::test(const std::string& name, const Value& value, const Args& args) {
  const DepthGuard guard(*this);
  const Test function = find_test(name);
  if (function != nullptr) return function(*this, value, args);
  if (known_test(name) == Known::Unsupported) fail_unsupported("the test '" + name + "'");
  fail("there is no test named '" + name + "'");
}

}  // namespace loraproof::text::jinja
