// SPDX-License-Identifier: Apache-2.0
// Walks the tree of a template. One Evaluator renders once; it owns the budget of that render.
#pragma once

#include <chrono>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "loraproof/text/jinja/ast.h"

namespace loraproof::text::jinja {

class Evaluator;

struct Args {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

/// Something a template can call: method, macro or global function.
struct CallableNode : Node {
  std::string name;
  virtual Value call(Evaluator& evaluator, const Args& args) = 0;
};

using Method = Value (*)(Evaluator&, const Value& self, const Args&);
using Function = Value (*)(Evaluator&, const Args&);

[[nodiscard]] Value make_method(std::string name, Value self, Method method);
[[nodiscard]] Value make_function(std::string name, Function function);

/// Arguments by parameter name, absent ones empty. Throws as Python does for too many, unknown,
/// doubled or missing ones. With `keywords` false, all are positional-only.
[[nodiscard]] std::vector<std::optional<Value>> bind(std::string_view function, const Args& args,
                                                     std::initializer_list<const char*> names,
                                                     std::size_t required, bool keywords = true);
/// Throws unless there are none.
void no_arguments(std::string_view function, const Args& args);
/// The integer of an argument (bools count), else a TypeError.
[[nodiscard]] std::int64_t integer_of(const Value& value);
/// The text of an argument, else a TypeError.
[[nodiscard]] const std::string& string_of(const Value& value);

/// Variables of one scope; lookups go on in the parent.
struct Scope {
  std::shared_ptr<Scope> parent;
  std::vector<std::pair<std::string, Value>> variables;

  void set(const std::string& name, Value value);
  [[nodiscard]] const Value* find(const std::string& name) const;
};
using ScopePtr = std::shared_ptr<Scope>;

enum class Flow { Next, Break, Continue };

class Evaluator {
 public:
  using Clock = std::optional<std::chrono::local_seconds>;

  /// `context` holds the variables of the caller. Without `now`, strftime_now reads the clock.
  Evaluator(const Template& parsed, std::vector<std::pair<std::string, Value>> context, Clock now);
  ~Evaluator();
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  /// Throws Failure, always with a line.
  [[nodiscard]] std::string run();

  // What filters, methods and functions need.
  void step(std::uint64_t count = 1);
  void charge(const Value& value);
  [[nodiscard]] const Clock& now() const { return now_; }
  [[nodiscard]] Value call(const Value& callee, const Args& args);
  [[nodiscard]] Value getattr(const Value& object, const std::string& name);
  [[nodiscard]] Value getitem(const Value& object, const Value& key);
  [[nodiscard]] Value filter(const std::string& name, const Value& value, const Args& args);
  [[nodiscard]] bool test(const std::string& name, const Value& value, const Args& args);
  /// Keeps an object that can take part in a reference cycle, to take it apart at the end.
  [[nodiscard]] Value adopt_namespace(Value::Pairs pairs);
  [[nodiscard]] Value call_macro(const Stmt& macro, const ScopePtr& closure, const Args& args);
  /// A loop's filter: binds the item to the target in a scope of its own and runs the test.
  [[nodiscard]] bool passes(const Stmt& loop, const ScopePtr& outer, const Value& item);

 private:
  friend struct DepthGuard;
  class ScopeGuard;

  Flow exec(const Body& body);
  Flow exec(const Stmt& node);
  Flow exec_inner(const Stmt& node);
  Flow exec_for(const Stmt& node);
  Flow exec_if(const Stmt& node);
  void exec_with(const Stmt& node);
  void exec_call_block(const Stmt& node);
  std::string capture(const Body& body, const std::vector<std::string>& hidden);
  Value make_macro(const Stmt& node);
  void assign(const Expr& target, const Value& value);
  void print(std::string_view text);
  void hide(const std::vector<std::string>& names);

  Value eval(const Expr& e);
  Value eval_inner(const Expr& e);
  Value eval_name(const Expr& e);
  Value eval_items(const Expr& e);
  Value eval_dict(const Expr& e);
  Value eval_slice(const Expr& e);
  Value eval_concat(const Expr& e);
  Value eval_compare(const Expr& e);
  Value eval_filter(const Expr& e);
  Value charged(Value value);
  Args eval_arguments(const Arguments& arguments);

  const Template& template_;
  Clock now_;
  ScopePtr scope_;
  std::string output_;
  std::string* out_ = &output_;
  const Value* filter_input_ = nullptr;  ///< What a filter block's innermost filter gets.
  std::uint64_t steps_ = 0;
  std::uint64_t bytes_ = 0;
  int depth_ = 0;
  std::vector<std::shared_ptr<NamespaceNode>> namespaces_;
  std::vector<ScopePtr> closures_;
};

/// The functions every template can call: range, dict, namespace, raise_exception, strftime_now...
[[nodiscard]] std::vector<std::pair<std::string, Value>> global_functions();

}  // namespace loraproof::text::jinja
