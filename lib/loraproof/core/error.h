// SPDX-License-Identifier: Apache-2.0
// The one error type of loraproof. An Error ends the command; what a command came to find out (a
// failed check, an unmatched tensor, too few samples) is a result and never an Error.
#pragma once

#include <exception>
#include <string>
#include <string_view>

namespace loraproof {

/// Who has to act: the caller of the command line, the owner of an input, or we.
enum class ErrorKind { Usage, Input, Internal };

/// Everything a message needs so that the reader can act without a debugger. Only `message` is
/// required; the other fields stay empty where they say nothing.
struct ErrorDetail {
  std::string id;        ///< Stable name of the refusal, where there is one: "base.quantised".
  std::string message;   ///< What is wrong, one sentence: "tensor shape does not match its bytes".
  std::string file;      ///< Path as the user would recognise it.
  std::string where;     ///< Tensor name, JSON pointer, or "line 12".
  std::string expected;  ///< What would have been right.
  std::string found;     ///< What was there.
  std::string hint;      ///< What to do next.
};

/// Thrown by every module for inputs that cannot be used and for broken invariants.
class Error : public std::exception {
 public:
  Error(ErrorKind kind, ErrorDetail detail);

  [[nodiscard]] ErrorKind kind() const { return kind_; }
  [[nodiscard]] const ErrorDetail& detail() const { return detail_; }
  /// All non-empty fields on one line: "file: where: message: expected X, found Y; hint".
  [[nodiscard]] const char* what() const noexcept override { return what_.c_str(); }

  /// A copy whose empty `file` is filled in: lets a parser that saw only bytes stay unaware of
  /// paths.
  [[nodiscard]] Error with_file(std::string_view file) const;

 private:
  ErrorKind kind_;
  ErrorDetail detail_;
  std::string what_;
};

[[nodiscard]] inline Error usage_error(ErrorDetail detail) { return {ErrorKind::Usage, detail}; }
[[nodiscard]] inline Error input_error(ErrorDetail detail) { return {ErrorKind::Input, detail}; }
[[nodiscard]] inline Error internal_error(ErrorDetail detail) {
  return {ErrorKind::Internal, detail};
}

}  // namespace loraproof
