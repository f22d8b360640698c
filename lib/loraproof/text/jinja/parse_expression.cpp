// SPDX-License-Identifier: Apache-2.0
// Expressions. Each level calls the next tighter one, in the order of Jinja's own grammar (note
// that ~ binds tighter than + and -, and that filters bind tighter than unary minus' operand's
// power).
#include <algorithm>

#include "loraproof/text/jinja/names.h"
#include "loraproof/text/jinja/parser_impl.h"

namespace loraproof::text::jinja {

Parser::Nest::Nest(Parser& parser) : parser_(parser) {
  if (++parser_.depth_ > Limits::kAstDepth) {
    --parser_.depth_;
    throw Failure(FailureKind::Limit, "the template is nested too deep", parser_.current().line);
  }
}

ExprPtr Parser::make(ExprKind kind, int line) const {
  auto node = std::make_unique<Expr>();
  node->kind = kind;
  node->line = line;
  return node;
}

ExprPtr Parser::done(ExprPtr node) const {
  int deepest = 0;
  const auto look = [&](const ExprPtr& e) {
    if (e) deepest = std::max(deepest, e->depth);
  };
  look(node->left);
  look(node->right);
  look(node->test);
  for (const auto& item : node->items) look(item);
  if (node->arguments) {
    for (const auto& item : node->arguments->positional) look(item);
    for (const auto& item : node->arguments->named) look(item.second);
    look(node->arguments->star);
    look(node->arguments->star_star);
  }
  node->depth = deepest + 1;
  if (node->depth > Limits::kAstDepth) {
    throw Failure(FailureKind::Limit, "an expression of the template is too long", node->line);
  }
  return node;
}

ExprPtr Parser::binary(ExprKind kind, std::string op, ExprPtr left, ExprPtr right) const {
  auto node = make(kind, left->line);
  node->text = std::move(op);
  node->left = std::move(left);
  node->right = std::move(right);
  return done(std::move(node));
}

ExprPtr Parser::parse_expression(bool with_cond) {
  const Nest nest(*this);
  return with_cond ? parse_cond() : parse_or();
}

ExprPtr Parser::parse_cond() {
  auto expr = parse_or();
  while (skip_name("if")) {
    auto node = make(ExprKind::Cond, expr->line);
    node->left = std::move(expr);
    node->test = parse_or();
    if (skip_name("else")) {
      const Nest nest(*this);
      node->right = parse_cond();
    }
    expr = done(std::move(node));
  }
  return expr;
}

ExprPtr Parser::parse_or() {
  auto left = parse_and();
  while (skip_name("or")) left = binary(ExprKind::Or, "or", std::move(left), parse_and());
  return left;
}

ExprPtr Parser::parse_and() {
  auto left = parse_not();
  while (skip_name("and")) left = binary(ExprKind::And, "and", std::move(left), parse_not());
  return left;
}

ExprPtr Parser::parse_not() {
  if (!is_name("not")) return parse_compare();
  const Nest nest(*this);
  auto node = make(ExprKind::Not, next().line);
  node->left = parse_not();
  return done(std::move(node));
}

ExprPtr Parser::parse_compare() {
  auto first = parse_sum();
  auto node = make(ExprKind::Compare, first->line);
  node->items.push_back(std::move(first));
  while (true) {
    const Token& token = current();
    static const std::set<std::string, std::less<>> ops = {"==", "!=", "<", "<=", ">", ">="};
    if (token.type == TokenType::Operator && ops.count(token.text) != 0) {
      node->ops.push_back(next().text);
    } else if (skip_name("in")) {
      node->ops.emplace_back("in");
    } else if (is_name("not") && ahead().type == TokenType::Name && ahead().text == "in") {
      next();
      next();
      node->ops.emplace_back("not in");
    } else {
      break;
    }
    node->items.push_back(parse_sum());
  }
  return node->ops.empty() ? std::move(node->items[0]) : done(std::move(node));
}

ExprPtr Parser::parse_sum() {
  auto left = parse_concat();
  while (is_op("+") || is_op("-")) {
    const std::string op = next().text;
    left = binary(ExprKind::Binary, op, std::move(left), parse_concat());
  }
  return left;
}

ExprPtr Parser::parse_concat() {
  auto first = parse_product();
  if (!is_op("~")) return first;
  auto node = make(ExprKind::Concat, first->line);
  node->items.push_back(std::move(first));
  while (skip_op("~")) node->items.push_back(parse_product());
  return done(std::move(node));
}

ExprPtr Parser::parse_product() {
  auto left = parse_power();
  while (is_op("*") || is_op("/") || is_op("//") || is_op("%")) {
    const std::string op = next().text;
    left = binary(ExprKind::Binary, op, std::move(left), parse_power());
  }
  return left;
}

ExprPtr Parser::parse_power() {
  auto left = parse_unary();
  // Left-associative, unlike Python's, because Jinja's is.
  while (skip_op("**")) left = binary(ExprKind::Binary, "**", std::move(left), parse_unary());
  return left;
}

ExprPtr Parser::parse_unary(bool with_filter) {
  const Nest nest(*this);
  ExprPtr node;
  if (is_op("-") || is_op("+")) {
    const Token& token = next();
    node = make(token.text == "-" ? ExprKind::Negate : ExprKind::Plus, token.line);
    node->left = parse_unary(false);
    node = done(std::move(node));
  } else {
    node = parse_primary();
  }
  node = parse_postfix(std::move(node));
  return with_filter ? parse_filters(std::move(node)) : std::move(node);
}

ExprPtr Parser::parse_name(bool with_namespace) {
  const Token& token = next();
  const std::string& name = token.text;
  auto node = make(ExprKind::Const, token.line);
  if (name == "true" || name == "True" || name == "false" || name == "False") {
    node->value = Value::boolean(name == "true" || name == "True");
  } else if (name == "none" || name == "None") {
    node->value = Value::none();
  } else if (with_namespace && skip_op(".")) {
    node->kind = ExprKind::NamespaceRef;
    node->text = name;
    node->attr = expect_name();
    loaded_.insert(name);
  } else {
    node->kind = ExprKind::Name;
    node->text = name;
    loaded_.insert(name);
    if (name == "strftime_now") uses_clock_ = true;
  }
  return node;
}

ExprPtr Parser::parse_primary(bool with_namespace) {
  const Token& token = current();
  if (token.type == TokenType::Name) return parse_name(with_namespace);
  if (token.type == TokenType::String) {
    auto node = make(ExprKind::Const, token.line);
    std::string text;
    while (current().type == TokenType::String) text += next().text;
    node->value = Value::string(std::move(text));
    return node;
  }
  if (token.type == TokenType::Integer || token.type == TokenType::Float) {
    auto node = make(ExprKind::Const, token.line);
    node->value = next().number;
    return node;
  }
  if (skip_op("(")) {
    const Nest nest(*this);
    TupleOptions options;
    options.parentheses = true;
    auto node = parse_tuple(options);
    expect_op(")");
    return node;
  }
  if (is_op("[")) return parse_list();
  if (is_op("{")) return parse_dict();
  fail_here("unexpected '" + describe(token) + "'");
}

bool Parser::tuple_ends(std::string_view end_name) const {
  const auto type = current().type;
  return type == TokenType::VariableEnd || type == TokenType::BlockEnd || is_op(")") ||
         (!end_name.empty() && is_name(end_name));
}

ExprPtr Parser::parse_tuple(const TupleOptions& options) {
  auto node = make(ExprKind::Tuple, current().line);
  bool is_tuple = false;
  while (true) {
    if (!node->items.empty()) expect_op(",");
    if (tuple_ends(options.end_name)) break;
    node->items.push_back(options.simplified ? parse_primary(options.with_namespace)
                                             : parse_expression(options.with_cond));
    if (!is_op(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!node->items.empty()) return std::move(node->items[0]);
    if (!options.parentheses) {
      fail_here("expected an expression, got '" + describe(current()) + "'");
    }
  }
  return done(std::move(node));
}

ExprPtr Parser::parse_list() {
  const Nest nest(*this);
  auto node = make(ExprKind::List, next().line);
  while (!is_op("]")) {
    if (!node->items.empty()) expect_op(",");
    if (is_op("]")) break;
    node->items.push_back(parse_expression());
  }
  expect_op("]");
  return done(std::move(node));
}

ExprPtr Parser::parse_dict() {
  const Nest nest(*this);
  auto node = make(ExprKind::Dict, next().line);
  while (!is_op("}")) {
    if (!node->items.empty()) expect_op(",");
    if (is_op("}")) break;
    node->items.push_back(parse_expression());
    expect_op(":");
    node->items.push_back(parse_expression());
  }
  expect_op("}");
  return done(std::move(node));
}

ExprPtr Parser::parse_postfix(ExprPtr node) {
  while (true) {
    if (is_op(".") || is_op("[")) {
      node = parse_subscript(std::move(node));
    } else if (is_op("(")) {
      node = parse_call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr Parser::parse_filters(ExprPtr node) {
  while (true) {
    if (is_op("|")) {
      node = parse_filter(std::move(node), false);
    } else if (is_name("is")) {
      node = parse_test(std::move(node));
    } else if (is_op("(")) {
      node = parse_call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr Parser::parse_subscript(ExprPtr node) {
  const int line = current().line;
  if (skip_op(".")) {
    const Token& token = next();
    if (token.type == TokenType::Name) {
      auto out = make(ExprKind::Getattr, line);
      out->text = token.text;
      out->left = std::move(node);
      return done(std::move(out));
    }
    if (token.type != TokenType::Integer) fail_here("expected name or number");
    auto index = make(ExprKind::Const, line);
    index->value = token.number;
    return binary(ExprKind::Getitem, "", std::move(node), std::move(index));
  }
  expect_op("[");
  const Nest nest(*this);
  if (is_op(":")) return parse_slice(std::move(node));
  auto index = parse_expression();
  if (is_op(":")) {
    node = binary(ExprKind::Slice, "", std::move(node), nullptr);
    node->items.push_back(std::move(index));
    return parse_slice(std::move(node));
  }
  if (is_op(",")) {
    auto tuple = make(ExprKind::Tuple, line);
    tuple->items.push_back(std::move(index));
    while (skip_op(",")) tuple->items.push_back(parse_expression());
    index = done(std::move(tuple));
  }
  expect_op("]");
  return binary(ExprKind::Getitem, "", std::move(node), std::move(index));
}

/// At the first colon; `node` is either the sliced value or a Slice that has its start already.
ExprPtr Parser::parse_slice(ExprPtr node) {
  if (node->kind != ExprKind::Slice || !node->ops.empty() || node->items.size() != 1) {
    node = binary(ExprKind::Slice, "", std::move(node), nullptr);
    node->items.push_back(nullptr);
  }
  expect_op(":");
  const auto part = [&]() -> ExprPtr {
    return is_op(":") || is_op("]") || is_op(",") ? nullptr : parse_expression();
  };
  node->items.push_back(part());
  node->items.push_back(skip_op(":") ? part() : nullptr);
  if (is_op(",")) refuse("slices in a tuple index", current().line);
  expect_op("]");
  return done(std::move(node));
}

std::unique_ptr<Arguments> Parser::parse_arguments() {
  const Nest nest(*this);
  auto out = std::make_unique<Arguments>();
  const int line = current().line;
  const auto ensure = [&](bool ok) {
    if (!ok) throw Failure(FailureKind::Error, "invalid syntax for function call expression", line);
  };
  expect_op("(");
  bool comma = false;
  while (!is_op(")")) {
    if (comma) {
      expect_op(",");
      if (is_op(")")) break;
    }
    if (skip_op("*")) {
      ensure(!out->star && !out->star_star);
      out->star = parse_expression();
    } else if (skip_op("**")) {
      ensure(!out->star_star);
      out->star_star = parse_expression();
    } else if (current().type == TokenType::Name && ahead().type == TokenType::Operator &&
               ahead().text == "=") {
      ensure(!out->star_star);
      std::string key = next().text;
      next();
      out->named.emplace_back(std::move(key), parse_expression());
    } else {
      ensure(!out->star && !out->star_star && out->named.empty());
      out->positional.push_back(parse_expression());
    }
    comma = true;
  }
  expect_op(")");
  return out;
}

ExprPtr Parser::parse_call(ExprPtr node) {
  auto out = make(ExprKind::Call, current().line);
  out->left = std::move(node);
  out->arguments = parse_arguments();
  return done(std::move(out));
}

ExprPtr Parser::parse_filter(ExprPtr node, bool start_inline) {
  while (is_op("|") || start_inline) {
    if (!start_inline) next();
    start_inline = false;
    auto out = make(ExprKind::Filter, current().line);
    out->text = expect_name();
    while (skip_op(".")) out->text.append(1, '.').append(expect_name());
    out->left = std::move(node);
    out->arguments = is_op("(") ? parse_arguments() : std::make_unique<Arguments>();
    const Known known = known_filter(out->text);
    if (known == Known::Unsupported) refuse("the filter '" + out->text + "'", out->line);
    if (known == Known::No && !soft_) {
      throw Failure(FailureKind::Error, "there is no filter named '" + out->text + "'", out->line);
    }
    node = done(std::move(out));
  }
  return node;
}

ExprPtr Parser::parse_test(ExprPtr node) {
  auto out = make(ExprKind::Test, next().line);
  const bool negated = skip_name("not");
  out->text = expect_name();
  while (skip_op(".")) out->text.append(1, '.').append(expect_name());
  out->left = std::move(node);
  out->arguments = std::make_unique<Arguments>();
  const auto type = current().type;
  if (is_op("(")) {
    out->arguments = parse_arguments();
  } else if ((type == TokenType::Name || type == TokenType::String || type == TokenType::Integer ||
              type == TokenType::Float || is_op("[") || is_op("{")) &&
             !is_name("else") && !is_name("or") && !is_name("and")) {
    if (is_name("is")) fail_here("tests with 'is' cannot be chained");
    out->arguments->positional.push_back(parse_postfix(parse_primary()));
  }
  const Known known = known_test(out->text);
  if (known == Known::Unsupported) refuse("the test '" + out->text + "'", out->line);
  if (known == Known::No && !soft_) {
    throw Failure(FailureKind::Error, "there is no test named '" + out->text + "'", out->line);
  }
  out = done(std::move(out));
  if (!negated) return out;
  auto inverse = make(ExprKind::Not, out->line);
  inverse->left = std::move(out);
  return done(std::move(inverse));
}

}  // namespace loraproof::text::jinja
