// SPDX-License-Identifier: Apache-2.0
#include "loraproof/text/jinja/parser.h"

#include <algorithm>
#include <utility>

#include "loraproof/text/jinja/parser_impl.h"

namespace loraproof::text::jinja {

const Token& Parser::next() {
  const Token& token = tokens_[pos_];
  if (pos_ + 1 < tokens_.size()) ++pos_;
  return token;
}

bool Parser::is_op(std::string_view op) const {
  return current().type == TokenType::Operator && current().text == op;
}
bool Parser::is_name(std::string_view name) const {
  return current().type == TokenType::Name && current().text == name;
}
bool Parser::skip_op(std::string_view op) {
  if (!is_op(op)) return false;
  next();
  return true;
}
bool Parser::skip_name(std::string_view name) {
  if (!is_name(name)) return false;
  next();
  return true;
}

void Parser::fail_here(std::string message) const {
  throw Failure(FailureKind::Error, std::move(message), current().line);
}
void Parser::refuse(const std::string& what, int line) const {
  throw Failure(FailureKind::Unsupported, what, line);
}

void Parser::expect_op(std::string_view op) {
  if (!skip_op(op)) {
    fail_here("expected '" + std::string(op) + "', got '" + describe(current()) + "'");
  }
}

void Parser::expect(TokenType type, std::string_view what) {
  if (current().type != type) {
    fail_here("expected " + std::string(what) + ", got '" + describe(current()) + "'");
  }
  next();
}

std::string Parser::expect_name() {
  if (current().type != TokenType::Name) {
    fail_here("expected a name, got '" + describe(current()) + "'");
  }
  return next().text;
}

std::unique_ptr<Stmt> Parser::start(StmtKind kind) {
  auto node = std::make_unique<Stmt>();
  node->kind = kind;
  node->line = current().line;
  return node;
}

Template Parser::run() {
  Template out;
  out.body = subparse({});
  out.uses_clock = uses_clock_;
  return out;
}

Body Parser::subparse(Ends ends) {
  const Nest nest(*this);
  Body body;
  while (current().type != TokenType::End) {
    if (current().type == TokenType::Data) {
      auto node = start(StmtKind::Text);
      node->text = next().text;
      body.push_back(std::move(node));
    } else if (current().type == TokenType::VariableBegin) {
      auto node = start(StmtKind::Print);
      next();
      node->expr = parse_tuple();
      expect(TokenType::VariableEnd, "'}}'");
      body.push_back(std::move(node));
    } else {
      expect(TokenType::BlockBegin, "a tag");
      if (std::any_of(ends.begin(), ends.end(), [&](auto end) { return is_name(end); }))
        return body;
      body.push_back(statement());
      expect(TokenType::BlockEnd, "'%}'");
    }
  }
  return body;
}

Body Parser::statements(Ends ends) {
  skip_op(":");
  const int line = current().line;
  expect(TokenType::BlockEnd, "'%}'");
  Body body = subparse(ends);
  if (current().type == TokenType::End) {
    throw Failure(FailureKind::Error,
                  "unexpected end of template: '" + std::string(*(ends.end() - 1)) +
                      "' is missing for the tag of line " + std::to_string(line),
                  current().line);
  }
  return body;
}

std::unique_ptr<Stmt> Parser::statement() {
  if (current().type != TokenType::Name) fail_here("a tag name is expected");
  const std::string& name = current().text;
  if (name == "for") return parse_for();
  if (name == "if") return parse_if();
  if (name == "set") return parse_set();
  if (name == "macro") return parse_macro();
  if (name == "call") return parse_call_block();
  if (name == "filter") return parse_filter_block();
  if (name == "with") return parse_with();
  if (name == "generation") return parse_generation();
  if (name == "break" || name == "continue") return parse_loop_control();
  static const std::set<std::string, std::less<>> refused = {
      "block", "extends", "include", "import", "from", "autoescape", "print"};
  if (refused.count(name) != 0) refuse("the tag '" + name + "'", current().line);
  fail_here("unknown tag '" + name + "'");
}

std::unique_ptr<Stmt> Parser::parse_set() {
  auto node = start(StmtKind::Set);
  next();
  node->target = parse_target(true, "");
  if (skip_op("=")) {
    node->expr = parse_tuple();
    return node;
  }
  node->kind = StmtKind::SetBlock;
  node->expr = parse_filter(nullptr, false);
  node->body = statements({"endset"});
  next();
  return node;
}

std::unique_ptr<Stmt> Parser::parse_for() {
  auto node = start(StmtKind::For);
  next();
  node->target = parse_target(false, "in");
  if (!skip_name("in")) fail_here("expected 'in', got '" + describe(current()) + "'");
  TupleOptions options;
  options.with_cond = false;
  options.end_name = "recursive";
  node->expr = parse_tuple(options);
  if (skip_name("if")) node->test = parse_expression();
  if (is_name("recursive")) refuse("recursive loops", current().line);
  const bool soft = std::exchange(soft_, false);
  ++loops_;
  node->body = statements({"else", "endfor"});
  --loops_;
  if (next().text == "else") {
    node->else_body = statements({"endfor"});
    next();
  }
  soft_ = soft;
  return node;
}

std::unique_ptr<Stmt> Parser::parse_if() {
  auto node = start(StmtKind::If);
  next();
  const bool soft = std::exchange(soft_, true);
  TupleOptions options;
  options.with_cond = false;
  while (true) {
    Branch branch;
    branch.test = parse_tuple(options);
    branch.body = statements({"elif", "else", "endif"});
    node->branches.push_back(std::move(branch));
    const std::string& end = next().text;
    if (end == "elif") continue;
    if (end == "else") {
      Branch last;
      last.body = statements({"endif"});
      next();
      node->branches.push_back(std::move(last));
    }
    break;
  }
  soft_ = soft;
  return node;
}

std::unique_ptr<Stmt> Parser::parse_with() {
  auto node = start(StmtKind::With);
  next();
  while (current().type != TokenType::BlockEnd) {
    if (!node->bindings.empty()) expect_op(",");
    auto target = parse_target(false, "");
    expect_op("=");
    node->bindings.emplace_back(std::move(target), parse_expression());
  }
  const bool soft = std::exchange(soft_, false);
  node->body = statements({"endwith"});
  soft_ = soft;
  next();
  return node;
}

void Parser::parse_signature(Stmt& node) {
  expect_op("(");
  bool with_fallback = false;
  while (!is_op(")")) {
    if (!node.parameters.empty()) expect_op(",");
    Parameter parameter;
    parameter.name = expect_name();
    if (skip_op("=")) {
      parameter.fallback = parse_expression();
      with_fallback = true;
    } else if (with_fallback) {
      fail_here("non-default argument follows default argument");
    }
    node.parameters.push_back(std::move(parameter));
  }
  expect_op(")");
}

void Parser::parse_function_body(Stmt& node, std::string_view end) {
  const auto outer_loaded = std::exchange(loaded_, {});
  const bool soft = std::exchange(soft_, false);
  const int loops = std::exchange(loops_, 0);
  node.body = statements({end});
  next();
  const auto special = [&](const char* name) {
    const bool named = std::any_of(node.parameters.begin(), node.parameters.end(),
                                   [&](const Parameter& p) { return p.name == name; });
    return !named && loaded_.count(name) != 0;
  };
  node.takes_caller = special("caller");
  node.takes_varargs = special("varargs");
  node.takes_kwargs = special("kwargs");
  loops_ = loops;
  soft_ = soft;
  loaded_.insert(outer_loaded.begin(), outer_loaded.end());
}

std::unique_ptr<Stmt> Parser::parse_macro() {
  auto node = start(StmtKind::Macro);
  next();
  node->text = expect_name();
  parse_signature(*node);
  parse_function_body(*node, "endmacro");
  return node;
}

std::unique_ptr<Stmt> Parser::parse_call_block() {
  auto node = start(StmtKind::CallBlock);
  next();
  node->text = "caller";
  if (is_op("(")) parse_signature(*node);
  node->expr = parse_expression();
  if (node->expr->kind != ExprKind::Call) fail_here("expected a call");
  parse_function_body(*node, "endcall");
  return node;
}

std::unique_ptr<Stmt> Parser::parse_filter_block() {
  auto node = start(StmtKind::FilterBlock);
  next();
  node->expr = parse_filter(nullptr, true);
  const bool soft = std::exchange(soft_, false);
  node->body = statements({"endfilter"});
  soft_ = soft;
  next();
  return node;
}

std::unique_ptr<Stmt> Parser::parse_generation() {
  // Jinja makes a call block of it: its own variables, and no way to leave a loop outside.
  auto node = start(StmtKind::Scope);
  next();
  parse_function_body(*node, "endgeneration");
  return node;
}

std::unique_ptr<Stmt> Parser::parse_loop_control() {
  auto node = start(is_name("break") ? StmtKind::Break : StmtKind::Continue);
  if (loops_ == 0) fail_here("'" + current().text + "' outside of a loop");
  next();
  return node;
}

ExprPtr Parser::parse_target(bool with_namespace, std::string_view end_name) {
  TupleOptions options;
  options.simplified = true;
  options.with_namespace = with_namespace;
  options.end_name = end_name;
  const auto loaded = loaded_;
  auto target = parse_tuple(options);
  loaded_ = loaded;  // Writing a name is not reading it.
  const auto check = [&](const auto& self, const Expr& e) -> void {
    if (e.kind == ExprKind::Tuple) {
      for (const auto& item : e.items) self(self, *item);
    } else if (e.kind == ExprKind::Name) {
      if (e.text == "loop" && (loops_ > 0 || end_name == "in"))
        fail_here("cannot assign to the special variable 'loop'");
    } else if (e.kind != ExprKind::NamespaceRef) {
      throw Failure(FailureKind::Error, "cannot assign to an expression", e.line);
    }
  };
  check(check, *target);
  return target;
}

Template parse_template(std::string_view source) {
  Template parsed = Parser(tokenize(source)).run();
  resolve_scopes(parsed);
  return parsed;
}

}  // namespace loraproof::text::jinja
