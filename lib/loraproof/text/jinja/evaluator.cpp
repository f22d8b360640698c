// SPDX-License-Identifier: Apache-2.0
// Statements, scopes and the budget. Expressions are in evaluate_expression.cpp.
#include "loraproof/text/jinja/evaluator.h"

#include <algorithm>

#include "loraproof/text/jinja/depth_guard.h"
#include "loraproof/text/jinja/loop.h"
#include "loraproof/text/jinja/print.h"

namespace loraproof::text::jinja {
namespace {

struct MacroNode : CallableNode {
  const Stmt* macro = nullptr;
  ScopePtr closure;
  Value call(Evaluator& evaluator, const Args& args) override {
    return evaluator.call_macro(*macro, closure, args);
  }
};

}  // namespace

void Scope::set(const std::string& name, Value value) {
  for (auto& [key, old] : variables) {
    if (key == name) {
      old = std::move(value);
      return;
    }
  }
  variables.emplace_back(name, std::move(value));
}

const Value* Scope::find(const std::string& name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->parent.get()) {
    for (const auto& [key, value] : scope->variables) {
      if (key == name) return &value;
    }
  }
  return nullptr;
}

/// Opens a scope below `parent` and goes back to the one before at the end.
class Evaluator::ScopeGuard {
 public:
  ScopeGuard(Evaluator& evaluator, ScopePtr parent)
      : evaluator_(evaluator), before_(std::move(evaluator.scope_)) {
    evaluator_.scope_ = std::make_shared<Scope>();
    evaluator_.scope_->parent = std::move(parent);
  }
  ~ScopeGuard() { evaluator_.scope_ = std::move(before_); }
  ScopeGuard(const ScopeGuard&) = delete;
  ScopeGuard& operator=(const ScopeGuard&) = delete;

 private:
  Evaluator& evaluator_;
  ScopePtr before_;
};

Evaluator::Evaluator(const Template& parsed, std::vector<std::pair<std::string, Value>> context,
                     Clock now)
    : template_(parsed), now_(now), scope_(std::make_shared<Scope>()) {
  scope_->variables = std::move(context);
  for (auto& [name, value] : global_functions()) {
    if (scope_->find(name) == nullptr) scope_->variables.emplace_back(name, std::move(value));
  }
}

Evaluator::~Evaluator() {
  // Namespaces and closures may hold each other; emptied one by one nothing is freed recursively.
  for (auto& node : namespaces_) Value::Pairs().swap(node->pairs);
  for (auto& scope : closures_) decltype(scope->variables)().swap(scope->variables);
}

std::string Evaluator::run() {
  const ScopeGuard guard(*this, scope_);
  hide(template_.hidden);
  exec(template_.body);
  return std::move(output_);
}

void Evaluator::step(std::uint64_t count) {
  steps_ += count;
  if (steps_ > Limits::kSteps) fail_limit("the template takes too many steps");
}

void Evaluator::charge(const Value& value) {
  switch (value.kind()) {
    case Kind::String: bytes_ += value.text().size() + 64; break;
    case Kind::List:
    case Kind::Tuple:
    case Kind::View:
    case Kind::Generator:
      bytes_ += static_cast<const ItemsNode&>(*value.node()).items.size() * 96 + 64;
      break;
    case Kind::Dict: bytes_ += value.pairs().size() * 160 + 64; break;
    default: return;
  }
  if (bytes_ > Limits::kBytes) fail_limit("the template takes too much memory");
}

Value Evaluator::charged(Value value) {
  charge(value);
  return value;
}

void Evaluator::print(std::string_view text) {
  if (out_->size() + text.size() > Limits::kOutput) fail_limit("the rendered text grows too long");
  *out_ += text;
}

void Evaluator::hide(const std::vector<std::string>& names) {
  for (const auto& name : names) scope_->set(name, Value::undefined("'" + name + "' is undefined"));
}

Flow Evaluator::exec(const Body& body) {
  for (const auto& node : body) {
    const Flow flow = exec(*node);
    if (flow != Flow::Next) return flow;
  }
  return Flow::Next;
}

Flow Evaluator::exec(const Stmt& node) {
  const DepthGuard guard(*this);
  try {
    step();
    return exec_inner(node);
  } catch (const Failure& failure) {
    if (failure.line() != 0) throw;
    throw Failure(failure.kind(), failure.what(), node.line);
  }
}

Flow Evaluator::exec_inner(const Stmt& node) {
  switch (node.kind) {
    case StmtKind::Text: print(node.text); break;
    case StmtKind::Print: print(to_text(eval(*node.expr))); break;
    case StmtKind::If: return exec_if(node);
    case StmtKind::For: return exec_for(node);
    case StmtKind::Set: assign(*node.target, eval(*node.expr)); break;
    case StmtKind::SetBlock:
    case StmtKind::FilterBlock: {
      Value text = charged(Value::string(capture(node.body, node.hidden)));
      if (node.expr) {
        const Value* outer = std::exchange(filter_input_, &text);
        Value filtered = eval(*node.expr);
        filter_input_ = outer;
        text = std::move(filtered);
      }
      if (node.kind == StmtKind::SetBlock) {
        assign(*node.target, text);
      } else {
        print(to_text(text));
      }
      break;
    }
    case StmtKind::Macro: scope_->set(node.text, make_macro(node)); break;
    case StmtKind::CallBlock: exec_call_block(node); break;
    case StmtKind::With: exec_with(node); break;
    case StmtKind::Scope: {
      const ScopeGuard inner(*this, scope_);
      hide(node.hidden);
      exec(node.body);
      break;
    }
    case StmtKind::Break: return Flow::Break;
    case StmtKind::Continue: return Flow::Continue;
  }
  return Flow::Next;
}

Flow Evaluator::exec_if(const Stmt& node) {
  for (const Branch& branch : node.branches) {
    if (!branch.test || eval(*branch.test).truthy()) return exec(branch.body);
  }
  return Flow::Next;
}

Flow Evaluator::exec_for(const Stmt& node) {
  const Value iterable = eval(*node.expr);
  const auto loop = std::make_shared<LoopNode>();
  loop->source = iterable.iterate();
  for (const Value& item : loop->source) {
    if (item.node()) loop->depth = std::max(loop->depth, item.node()->depth + 1);
  }
  if (loop->depth > Limits::kValueDepth) fail_limit("values are nested too deep");
  if (node.test) {
    loop->passes = [this, &node, outer = scope_](const Value& item) {
      return passes(node, outer, item);
    };
  }
  const Value handle = Value::object(Kind::Loop, loop);
  bool completed = false;  // A body that always breaks or continues counts as none, as in Jinja.
  while (const auto item = loop->next()) {
    step();
    const ScopeGuard guard(*this, scope_);
    scope_->set("loop", handle);
    hide(node.hidden);
    assign(*node.target, *item);
    const Flow flow = exec(node.body);
    if (flow == Flow::Break) break;
    if (flow == Flow::Next) completed = true;
  }
  loop->finish();
  if (completed || node.else_body.empty()) return Flow::Next;
  const ScopeGuard guard(*this, scope_);
  hide(node.else_hidden);
  return exec(node.else_body);
}

bool Evaluator::passes(const Stmt& loop, const ScopePtr& outer, const Value& item) {
  step();
  const ScopeGuard guard(*this, outer);
  assign(*loop.target, item);
  return eval(*loop.test).truthy();
}

void Evaluator::exec_with(const Stmt& node) {
  Value::Items values;
  for (const auto& [target, expr] : node.bindings) values.push_back(eval(*expr));
  const ScopeGuard guard(*this, scope_);
  hide(node.hidden);
  for (std::size_t i = 0; i < values.size(); ++i) assign(*node.bindings[i].first, values[i]);
  exec(node.body);
}

void Evaluator::exec_call_block(const Stmt& node) {
  const Value callee = eval(*node.expr->left);
  Args args = eval_arguments(*node.expr->arguments);
  args.named.emplace_back("caller", make_macro(node));
  print(to_text(charged(call(callee, args))));
}

std::string Evaluator::capture(const Body& body, const std::vector<std::string>& hidden) {
  std::string text;
  std::string* outer = std::exchange(out_, &text);
  try {
    const ScopeGuard guard(*this, scope_);
    hide(hidden);
    exec(body);
  } catch (...) {
    out_ = outer;
    throw;
  }
  out_ = outer;
  return text;
}

Value Evaluator::make_macro(const Stmt& node) {
  if (closures_.size() >= Limits::kObjects) fail_limit("the template makes too many macros");
  auto macro = std::make_shared<MacroNode>();
  macro->name = node.text;
  macro->macro = &node;
  macro->closure = scope_;
  if (closures_.empty() || closures_.back() != scope_) closures_.push_back(scope_);
  return Value::object(Kind::Callable, std::move(macro));
}

Value Evaluator::adopt_namespace(Value::Pairs pairs) {
  if (namespaces_.size() >= Limits::kObjects) fail_limit("the template makes too many namespaces");
  auto node = std::make_shared<NamespaceNode>();
  node->pairs = std::move(pairs);
  namespaces_.push_back(node);
  return Value::object(Kind::Namespace, std::move(node));
}

Value Evaluator::call_macro(const Stmt& macro, const ScopePtr& closure, const Args& args) {
  const DepthGuard depth(*this);
  const auto& parameters = macro.parameters;
  const ScopeGuard guard(*this, closure);
  auto named = args.named;
  const auto take = [&](const std::string& name) -> std::optional<Value> {
    const auto it = std::find_if(named.begin(), named.end(),
                                 [&](const auto& pair) { return pair.first == name; });
    if (it == named.end()) return std::nullopt;
    Value value = std::move(it->second);
    named.erase(it);
    return value;
  };
  std::vector<std::optional<Value>> given;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    given.push_back(i < args.positional.size() ? std::optional<Value>(args.positional[i])
                                               : take(parameters[i].name));
  }
  if (macro.takes_caller) {
    const auto caller = take("caller");
    scope_->set("caller", caller ? *caller : Value::undefined("no caller defined"));
  }
  if (!named.empty() && !macro.takes_kwargs) {
    fail("macro '" + macro.text + "' takes no keyword argument '" + named.front().first + "'");
  }
  if (args.positional.size() > parameters.size() && !macro.takes_varargs) {
    fail("macro '" + macro.text + "' takes not more than " + std::to_string(parameters.size()) +
         " argument(s)");
  }
  if (macro.takes_kwargs) {
    Value::Pairs pairs;
    for (auto& [name, value] : named) pairs.emplace_back(Value::string(name), std::move(value));
    scope_->set("kwargs", Value::dict(std::move(pairs)));
  }
  if (macro.takes_varargs) {
    const auto from = std::min(parameters.size(), args.positional.size());
    scope_->set("varargs",
                Value::tuple({args.positional.begin() + static_cast<std::ptrdiff_t>(from),
                              args.positional.end()}));
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const std::string& name = parameters[i].name;
    scope_->set(
        name, given[i] ? *given[i] : Value::undefined("parameter '" + name + "' was not provided"));
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (!given[i] && parameters[i].fallback) {
      scope_->set(parameters[i].name, eval(*parameters[i].fallback));
    }
  }
  return Value::string(capture(macro.body, macro.hidden));
}

void Evaluator::assign(const Expr& target, const Value& value) {
  if (target.kind == ExprKind::Name) return scope_->set(target.text, value);
  if (target.kind == ExprKind::NamespaceRef) {
    const Value* found = scope_->find(target.text);
    if (found == nullptr || !found->is(Kind::Namespace)) {
      fail("cannot assign attribute on non-namespace object '" + target.text + "'");
    }
    if (target.attr[0] == '_') fail("a namespace takes no attribute that starts with '_'");
    auto& pairs = static_cast<NamespaceNode&>(*found->node()).pairs;
    for (auto& [key, old] : pairs) {
      if (key.text() == target.attr) {
        const Value keep = std::exchange(old, value);
        return;
      }
    }
    pairs.emplace_back(Value::string(target.attr), value);
    return;
  }
  if (!value.iterable()) fail("cannot unpack non-iterable " + value.type_name() + " object");
  const auto items = value.iterate();
  if (items.size() != target.items.size()) {
    fail(std::string(items.size() > target.items.size() ? "too many" : "not enough") +
         " values to unpack (expected " + std::to_string(target.items.size()) + ", got " +
         std::to_string(items.size()) + ")");
  }
  for (std::size_t i = 0; i < items.size(); ++i) assign(*target.items[i], items[i]);
}

}  // namespace loraproof::text::jinja
