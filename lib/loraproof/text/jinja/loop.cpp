// SPDX-License-Identifier: Apache-2.0
#include "loraproof/text/jinja/loop.h"

#include <array>

#include "loraproof/text/jinja/evaluator.h"
#include "loraproof/text/jinja/operators.h"

namespace loraproof::text::jinja {
namespace {

LoopNode& loop_of(const Value& v) { return static_cast<LoopNode&>(*v.node()); }

Value cycle(Evaluator&, const Value& self, const Args& args) {
  if (args.positional.empty()) fail("no items for cycling given");
  const auto count = static_cast<std::int64_t>(args.positional.size());
  return args.positional[static_cast<std::size_t>(loop_of(self).index0 % count)];
}

Value changed(Evaluator&, const Value& self, const Args& args) {
  LoopNode& loop = loop_of(self);
  Value now = Value::tuple(args.positional);
  if (loop.last_changed && equal(*loop.last_changed, now)) return Value::boolean(false);
  loop.last_changed = std::move(now);
  return Value::boolean(true);
}

}  // namespace

std::optional<Value> LoopNode::pull() {
  while (position < source.size()) {
    const Value item = source[position++];
    if (!passes || passes(item)) return item;
  }
  return std::nullopt;
}

std::optional<Value> LoopNode::next() {
  std::optional<Value> item;
  if (after) {
    item.swap(after);
  } else {
    item = pull();
  }
  if (!item) return item;
  ++index0;
  before = std::move(current);
  current = item;
  return item;
}

const std::optional<Value>& LoopNode::peek() {
  if (!after) after = pull();
  return after;
}

std::int64_t LoopNode::length() {
  if (known_length) return *known_length;
  if (!passes) {
    known_length = static_cast<std::int64_t>(source.size());
    return *known_length;
  }
  // As Jinja does: the rest is run through the filter now.
  Value::Items rest;
  while (auto item = pull()) rest.push_back(std::move(*item));
  known_length = static_cast<std::int64_t>(rest.size()) + index0 + 1 + (after ? 1 : 0);
  source = std::move(rest);
  position = 0;
  passes = nullptr;
  return *known_length;
}

void LoopNode::finish() {
  source.clear();
  position = 0;
  passes = nullptr;
  after.reset();
  last_changed.reset();
}

std::optional<Value> loop_attribute(const Value& v, const std::string& name) {
  LoopNode& loop = loop_of(v);
  if (name == "index0") return Value::integer(loop.index0);
  if (name == "index") return Value::integer(loop.index0 + 1);
  if (name == "first") return Value::boolean(loop.index0 == 0);
  if (name == "last") return Value::boolean(!loop.peek());
  if (name == "length") return Value::integer(loop.length());
  if (name == "revindex0") return Value::integer(loop.length() - loop.index0 - 1);
  if (name == "revindex") return Value::integer(loop.length() - loop.index0);
  if (name == "depth") return Value::integer(loop.level + 1);
  if (name == "depth0") return Value::integer(loop.level);
  if (name == "previtem") {
    return loop.index0 == 0 || !loop.before ? Value::undefined("there is no previous item")
                                            : *loop.before;
  }
  if (name == "nextitem") {
    const auto& next = loop.peek();
    return next ? *next : Value::undefined("there is no next item");
  }
  if (name == "cycle") return make_method(name, v, cycle);
  if (name == "changed") return make_method(name, v, changed);
  return std::nullopt;
}

}  // namespace loraproof::text::jinja
