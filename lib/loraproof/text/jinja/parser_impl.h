// SPDX-License-Identifier: Apache-2.0
// The parser's class, shared by parser.cpp (statements) and parse_expression.cpp.
#pragma once

#include <initializer_list>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/text/jinja/ast.h"
#include "loraproof/text/jinja/lexer.h"

namespace loraproof::text::jinja {

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}
  Template run();

 private:
  using Ends = std::initializer_list<std::string_view>;

  // Tokens.
  [[nodiscard]] const Token& current() const { return tokens_[pos_]; }
  [[nodiscard]] const Token& ahead() const {
    return tokens_[pos_ + 1 < tokens_.size() ? pos_ + 1 : pos_];
  }
  const Token& next();
  [[nodiscard]] bool is_op(std::string_view op) const;
  [[nodiscard]] bool is_name(std::string_view name) const;
  bool skip_op(std::string_view op);
  bool skip_name(std::string_view name);
  void expect_op(std::string_view op);
  void expect(TokenType type, std::string_view what);
  std::string expect_name();
  [[noreturn]] void fail_here(std::string message) const;
  [[noreturn]] void refuse(const std::string& what, int line) const;

  // Statements.
  Body subparse(Ends ends);
  Body statements(Ends ends);
  std::unique_ptr<Stmt> statement();
  std::unique_ptr<Stmt> parse_set();
  std::unique_ptr<Stmt> parse_for();
  std::unique_ptr<Stmt> parse_if();
  std::unique_ptr<Stmt> parse_with();
  std::unique_ptr<Stmt> parse_macro();
  std::unique_ptr<Stmt> parse_call_block();
  std::unique_ptr<Stmt> parse_filter_block();
  std::unique_ptr<Stmt> parse_generation();
  std::unique_ptr<Stmt> parse_loop_control();
  void parse_signature(Stmt& node);
  /// The body of a macro or call block: loops outside do not reach in, special names are noted.
  void parse_function_body(Stmt& node, std::string_view end);
  std::unique_ptr<Stmt> start(StmtKind kind);

  // Expressions.
  struct TupleOptions {
    bool simplified = false;
    bool with_cond = true;
    bool parentheses = false;
    bool with_namespace = false;
    std::string_view end_name;
  };
  ExprPtr parse_target(bool with_namespace, std::string_view end_name);
  ExprPtr parse_tuple(const TupleOptions& options);
  ExprPtr parse_tuple() { return parse_tuple(TupleOptions{}); }
  ExprPtr parse_expression(bool with_cond = true);
  ExprPtr parse_cond();
  ExprPtr parse_or();
  ExprPtr parse_and();
  ExprPtr parse_not();
  ExprPtr parse_compare();
  ExprPtr parse_sum();
  ExprPtr parse_concat();
  ExprPtr parse_product();
  ExprPtr parse_power();
  ExprPtr parse_unary(bool with_filter = true);
  ExprPtr parse_primary(bool with_namespace = false);
  ExprPtr parse_name(bool with_namespace);
  ExprPtr parse_list();
  ExprPtr parse_dict();
  ExprPtr parse_postfix(ExprPtr node);
  ExprPtr parse_filters(ExprPtr node);
  ExprPtr parse_subscript(ExprPtr node);
  ExprPtr parse_slice(ExprPtr node);
  ExprPtr parse_call(ExprPtr node);
  ExprPtr parse_filter(ExprPtr node, bool start_inline);
  ExprPtr parse_test(ExprPtr node);
  std::unique_ptr<Arguments> parse_arguments();
  [[nodiscard]] ExprPtr make(ExprKind kind, int line) const;
  /// Computes the depth of a finished node and refuses towers.
  [[nodiscard]] ExprPtr done(ExprPtr node) const;
  ExprPtr binary(ExprKind kind, std::string op, ExprPtr left, ExprPtr right) const;
  [[nodiscard]] bool tuple_ends(std::string_view end_name) const;

  /// Counts nesting while it lives.
  class Nest {
   public:
    explicit Nest(Parser& parser);
    ~Nest() { --parser_.depth_; }
    Nest(const Nest&) = delete;
    Nest& operator=(const Nest&) = delete;

   private:
    Parser& parser_;
  };

  std::vector<Token> tokens_;
  std::size_t pos_ = 0;
  int depth_ = 0;
  int loops_ = 0;  ///< For statements around us within the same function body.
  /// Jinja looks filters and tests up when a branch of an `if` runs, else when it compiles.
  bool soft_ = false;
  std::set<std::string> loaded_;  ///< Names read since the innermost macro began.
  bool uses_clock_ = false;
};

}  // namespace loraproof::text::jinja
