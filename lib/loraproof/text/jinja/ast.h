// SPDX-License-Identifier: Apache-2.0
// The tree of a parsed template. Plain nodes; the evaluator walks them.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "loraproof/text/jinja/value.h"

namespace loraproof::text::jinja {

enum class ExprKind {
  Const,
  Name,
  NamespaceRef,  ///< text.attr as an assignment target: text, attr
  Tuple,
  List,
  Dict,     ///< items: key, value, key, value...
  Getattr,  ///< left.text
  Getitem,  ///< left[right]
  Slice,    ///< left[items[0]:items[1]:items[2]], missing parts are null
  Call,
  Filter,  ///< left | text(arguments); left is null in a filter block
  Test,
  Cond,  ///< left if test else right (null without else)
  And,
  Or,
  Not,
  Negate,
  Plus,
  Binary,   ///< left text right
  Concat,   ///< items joined by ~
  Compare,  ///< items[0] ops[0] items[1] ops[1] items[2]...
};

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct Arguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr star;       ///< *expr
  ExprPtr star_star;  ///< **expr
};

struct Expr {
  ExprKind kind = ExprKind::Const;
  int line = 0;
  int depth = 1;  ///< Height of the tree below, bounded by the parser.
  std::string text;
  std::string attr;
  Value value;
  ExprPtr left, right, test;
  std::vector<ExprPtr> items;
  std::vector<std::string> ops;
  std::unique_ptr<Arguments> arguments;
};

enum class StmtKind {
  Text,
  Print,  ///< expr
  If,     ///< branches (test null for else)
  For,
  Set,       ///< target = expr
  SetBlock,  ///< target = body, through the filters in expr
  Macro,
  CallBlock,    ///< expr is the call, body the caller
  FilterBlock,  ///< expr is the filter chain
  With,         ///< targets/values
  Scope,        ///< generation: a body with its own variables
  Break,
  Continue,
};

struct Stmt;
using Body = std::vector<std::unique_ptr<Stmt>>;

struct Parameter {
  std::string name;
  ExprPtr fallback;
};

struct Branch {
  ExprPtr test;
  Body body;
};

struct Stmt {
  StmtKind kind = StmtKind::Text;
  int line = 0;
  std::string text;  ///< Text; name of a macro
  ExprPtr target, expr, test;
  std::vector<Branch> branches;
  Body body, else_body;
  std::vector<Parameter> parameters;
  std::vector<std::pair<ExprPtr, ExprPtr>> bindings;  ///< of With
  bool takes_caller = false, takes_varargs = false, takes_kwargs = false;
  /// Names that are undefined when the body (or else_body) starts although an outer or context
  /// variable has that name: Jinja decides per scope at compile time which variable a name means.
  std::vector<std::string> hidden, else_hidden;
};

struct Template {
  Body body;
  std::vector<std::string> hidden;
  bool uses_clock = false;
};

}  // namespace loraproof::text::jinja
