// SPDX-License-Identifier: Apache-2.0
#include "loraproof/report/numbers.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fmt/format.h>

namespace loraproof::report {
namespace {

constexpr int kFewDigits = 4;
constexpr int kAllDigits = 17;  // enough to tell any two doubles apart

}  // namespace

std::string format_number(double value, int digits) {
  return fmt::format("{:.{}g}", value, digits);
}

int digits_to_tell_apart(double a, double b) {
  if (a == b || !std::isfinite(a) || !std::isfinite(b)) return kFewDigits;
  // Rounding may move neither number by more than a tenth of the gap between them: a limit of
  // 0.99995 is not to read as 1 beside a value of 0.99994.
  const double allowed = 0.1 * std::abs(a - b);
  const auto is_faithful = [&](double value, int digits) {
    return std::abs(std::strtod(format_number(value, digits).c_str(), nullptr) - value) <= allowed;
  };
  int digits = kFewDigits;
  while (digits < kAllDigits && !(is_faithful(a, digits) && is_faithful(b, digits))) ++digits;
  return digits;
}

int digits_for(std::optional<double> value, const std::optional<Limit>& limit) {
  int digits = kFewDigits;
  if (!value || !limit) return digits;
  if (limit->min) digits = std::max(digits, digits_to_tell_apart(*value, *limit->min));
  if (limit->max) digits = std::max(digits, digits_to_tell_apart(*value, *limit->max));
  return digits;
}

}  // namespace loraproof::report
