// SPDX-License-Identifier: Apache-2.0
#include "loraproof/adapter/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <new>
#include <pcre2.h>

#include "loraproof/core/error.h"

namespace loraproof::adapter {
namespace {

constexpr std::size_t kMaxPatternBytes = 16384;  // PEFT lists of a few hundred names stay far below
constexpr std::uint32_t kMaxSteps = 200'000;     // about 2 ms; honest patterns need hundreds
constexpr std::uint32_t kMaxDepth = 50'000;
constexpr std::uint32_t kMaxHeapKib = 16 * 1024;

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using Code = std::unique_ptr<pcre2_code, Deleter<pcre2_code_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Deleter<pcre2_match_data_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Deleter<pcre2_match_context_free>>;
using CompileContext = std::unique_ptr<pcre2_compile_context, Deleter<pcre2_compile_context_free>>;

PCRE2_SPTR units(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

std::string message_of(int code) {
  PCRE2_UCHAR buffer[256];
  if (pcre2_get_error_message(code, buffer, sizeof(buffer)) < 0)
    return fmt::format("error {}", code);
  return reinterpret_cast<const char*>(buffer);
}

}  // namespace

struct PythonRegex::Impl {
  PatternOrigin origin;
  std::string pattern;
  Code code;
  MatchContext context;  // limits; a match reads it only

  [[nodiscard]] Error error(std::string message, std::string hint) const {
    return input_error({.message = std::move(message),
                        .file = origin.file,
                        .where = origin.where,
                        .found = pattern.substr(0, 200),
                        .hint = std::move(hint)});
  }
};

// One match. PCRE2 writes its places and its working memory here, so that each call has its own.
struct PythonRegex::Match {
  MatchData data;
  bool found = false;
};

PythonRegex::PythonRegex(std::string_view pattern, PatternOrigin origin)
    : impl_(std::make_unique<Impl>()) {
  impl_->origin = std::move(origin);
  impl_->pattern = std::string(pattern);
  if (pattern.size() > kMaxPatternBytes) {
    throw impl_->error(
        fmt::format("the regular expression is longer than {} bytes", kMaxPatternBytes),
        "use a list of module names instead");
  }
  const std::string translated = pcre2_from_python(pattern, impl_->origin);
  const CompileContext context(pcre2_compile_context_create(nullptr));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int code = 0;
  PCRE2_SIZE offset = 0;
  impl_->code.reset(pcre2_compile(units(translated), translated.size(), PCRE2_UTF | PCRE2_UCP,
                                  &code, &offset, context.get()));
  if (!impl_->code) {
    throw impl_->error(fmt::format("the regular expression does not compile: {} near byte {}",
                                   message_of(code), offset),
                       "it is read as Python's re reads it; correct the pattern");
  }
  impl_->context.reset(pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(impl_->context.get(), kMaxSteps);
  pcre2_set_depth_limit(impl_->context.get(), kMaxDepth);
  pcre2_set_heap_limit(impl_->context.get(), kMaxHeapKib);
}

PythonRegex::~PythonRegex() = default;
PythonRegex::PythonRegex(PythonRegex&&) noexcept = default;
PythonRegex& PythonRegex::operator=(PythonRegex&&) noexcept = default;

PythonRegex::Match PythonRegex::run(std::string_view text, unsigned options) const {
  Match match{.data = MatchData(pcre2_match_data_create_from_pattern(impl_->code.get(), nullptr))};
  if (!match.data) throw std::bad_alloc();
  const int result = pcre2_match(impl_->code.get(), units(text), text.size(), 0, options,
                                 match.data.get(), impl_->context.get());
  match.found = result >= 0;
  if (match.found || result == PCRE2_ERROR_NOMATCH) return match;
  throw impl_->error(
      fmt::format("the regular expression could not be matched against '{}': {}",
                  text.substr(0, 120), message_of(result)),
      "simplify the pattern (nested repeats backtrack without end), or list the names");
}

bool PythonRegex::full_match(std::string_view text) const {
  return run(text, PCRE2_ANCHORED | PCRE2_ENDANCHORED).found;
}

bool PythonRegex::match(std::string_view text) const { return run(text, PCRE2_ANCHORED).found; }

bool PythonRegex::search(std::string_view text) const { return run(text, 0).found; }

std::optional<std::string> PythonRegex::match_group(std::string_view text,
                                                    const char* group) const {
  const Match match = run(text, PCRE2_ANCHORED);
  if (!match.found) return std::nullopt;
  PCRE2_UCHAR* value = nullptr;
  PCRE2_SIZE size = 0;
  const int result = pcre2_substring_get_byname(match.data.get(),
                                                reinterpret_cast<PCRE2_SPTR>(group), &value, &size);
  if (result != 0) return "";
  std::string found(reinterpret_cast<const char*>(value), size);
  pcre2_substring_free(value);
  return found;
}

}  // namespace loraproof::adapter
