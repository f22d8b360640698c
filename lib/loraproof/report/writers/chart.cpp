// SPDX-License-Identifier: Apache-2.0
#include "loraproof/report/writers/chart.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "loraproof/core/json.h"
#include "loraproof/report/writers/layout.h"

namespace loraproof::report {
namespace {

constexpr double kBar = 20;  // characters of the longest one

double number_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->get<double>() : 0;
}

std::string name_of(const Json& row) {
  const auto text = row.find("text");
  if (text == row.end() || !text->is_string() || text->get_ref<const std::string&>().empty())
    return fmt::format("token {:.0f}", number_at(row, "id"));
  return fmt::format("'{}'", printable(text->get_ref<const std::string&>()));
}

}  // namespace

std::vector<std::string> contribution_chart(const Report& report) {
  const auto rows = report.metrics.find("contributions");
  if (rows == report.metrics.end() || !rows->is_array()) return {};
  double largest = 0;
  std::size_t width = 0;
  for (const Json& row : *rows) {
    largest = std::max(largest, std::abs(number_at(row, "difference")));
    width = std::max(width, display_width(name_of(row)));
  }
  if (!(largest > 0)) return {};
  std::vector<std::string> lines;
  for (const Json& row : *rows) {
    const double difference = number_at(row, "difference");
    const auto length = static_cast<std::size_t>(std::ceil(kBar * std::abs(difference) / largest));
    lines.push_back(
        fmt::format("{}  {:>6.2f}% -> {:>6.2f}%  {:+.2f}  {}", padded(name_of(row), width),
                    100 * number_at(row, "reference_share"), 100 * number_at(row, "window_share"),
                    100 * difference, std::string(length, difference > 0 ? '+' : '-')));
  }
  return lines;
}

}  // namespace loraproof::report
