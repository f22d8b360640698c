// SPDX-License-Identifier: Apache-2.0
#include "loraproof/core/error.h"

#include <utility>

namespace loraproof {
namespace {

std::string join(const ErrorDetail& detail) {
  std::string text;
  if (!detail.file.empty()) text += detail.file + ": ";
  if (!detail.where.empty()) text += detail.where + ": ";
  text += detail.message;
  if (!detail.expected.empty()) text += ": expected " + detail.expected;
  if (!detail.found.empty())
    text += (detail.expected.empty() ? ": found " : ", found ") + detail.found;
  if (!detail.hint.empty()) text += "; " + detail.hint;
  return text;
}

}  // namespace

Error::Error(ErrorKind kind, ErrorDetail detail)
    : kind_(kind), detail_(std::move(detail)), what_(join(detail_)) {}

Error Error::with_file(std::string_view file) const {
  ErrorDetail filled = detail_;
  if (filled.file.empty()) filled.file = file;
  return {kind_, std::move(filled)};
}

}  // namespace loraproof
