// SPDX-License-Identifier: Apache-2.0
// Template source to tokens, as Jinja's lexer with trim_blocks and lstrip_blocks: all white-space
// control is settled here, the parser sees only what remains.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "loraproof/text/jinja/value.h"

namespace loraproof::text::jinja {

enum class TokenType {
  Data,
  VariableBegin,
  VariableEnd,
  BlockBegin,
  BlockEnd,
  Name,
  String,
  Integer,
  Float,
  Operator,
  End,
};

struct Token {
  TokenType type = TokenType::End;
  std::string text;  ///< Data, name, unescaped string, or the operator itself.
  Value number;      ///< Integer, Float
  int line = 1;
};

/// Throws Failure (with its line) for what Jinja's lexer refuses. The last token is End.
[[nodiscard]] std::vector<Token> tokenize(std::string_view source);
/// How an error message names a token.
[[nodiscard]] std::string describe(const Token& token);

}  // namespace loraproof::text::jinja
