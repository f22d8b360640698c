// SPDX-License-Identifier: Apache-2.0
// What goes wrong inside a template, before it becomes an input Error with file and line, and the
// limits that keep a hostile template from taking the machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <utility>

namespace loraproof::text::jinja {

enum class FailureKind {
  Error,        ///< Jinja would fail here too.
  Raised,       ///< The template called raise_exception.
  Unsupported,  ///< Jinja knows this construct and we do not.
  Limit,        ///< More work or memory than a chat template may take.
};

class Failure : public std::exception {
 public:
  Failure(FailureKind kind, std::string message, int line = 0)
      : kind_(kind), message_(std::move(message)), line_(line) {}
  [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }
  [[nodiscard]] FailureKind kind() const { return kind_; }
  /// Line of the template, 0 when the thrower did not know it.
  [[nodiscard]] int line() const { return line_; }

 private:
  FailureKind kind_;
  std::string message_;
  int line_;
};

[[noreturn]] inline void fail(std::string message) {
  throw Failure(FailureKind::Error, std::move(message));
}
[[noreturn]] inline void fail_unsupported(std::string what) {
  throw Failure(FailureKind::Unsupported, std::move(what));
}
[[noreturn]] inline void fail_limit(std::string what) {
  throw Failure(FailureKind::Limit, std::move(what));
}

/// Chosen far above what real templates need (they take thousands of steps and kilobytes).
struct Limits {
  static constexpr std::size_t kSource = std::size_t{4} << 20;     ///< Bytes of a template.
  static constexpr std::size_t kOutput = std::size_t{16} << 20;    ///< Bytes of a rendered text.
  static constexpr std::size_t kString = std::size_t{16} << 20;    ///< Bytes of one string value.
  static constexpr std::size_t kItems = 1'000'000;                 ///< Items of one list.
  static constexpr std::size_t kRange = 100'000;                   ///< Jinja's own MAX_RANGE.
  static constexpr std::uint64_t kSteps = 10'000'000;              ///< Evaluated nodes and items.
  static constexpr std::uint64_t kBytes = std::uint64_t{1} << 30;  ///< All values of one render.
  static constexpr int kAstDepth = 200;                            ///< Nesting of the source.
  static constexpr int kEvalDepth = 1200;                          ///< Nesting of the evaluation.
  static constexpr int kValueDepth = 200;                          ///< Lists in lists.
  static constexpr std::size_t kObjects = 100'000;                 ///< Namespaces and macros.
};

}  // namespace loraproof::text::jinja
