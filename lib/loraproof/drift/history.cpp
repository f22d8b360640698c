// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/history.h"

#include <algorithm>
#include <fmt/format.h>
#include <string_view>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/core/file.h"
#include "loraproof/core/json.h"
#include "loraproof/core/json_number.h"
#include "loraproof/io/jsonl.h"
#include "loraproof/stats/multiple_testing.h"

namespace loraproof::drift {
namespace {

constexpr std::string_view kHistorySchema = "loraproof.drift.history/1";
constexpr double kMostOfOneWindow = 4;
constexpr double kMostEvidence = 1e300;

WindowRecord parse_window(const JsonObject& line) {
  WindowRecord out{.window = line.string("window"),
                   .reference_units = line.integer("reference_units"),
                   .window_units = line.integer("window_units"),
                   .p = line.number("p")};
  if (out.reference_units < 1 || out.reference_units > kMaxCount)
    throw line.error("reference_units", "a number of prompts", "1 or more");
  if (out.window_units < 1 || out.window_units > kMaxCount)
    throw line.error("window_units", "a number of prompts", "1 or more");
  if (!(out.p >= 0 && out.p <= 1)) throw line.error("p", "a probability", "0 to 1");
  if (line.has("sketch_z")) out.sketch_z = line.number("sketch_z");
  const Json* failed = line.find("failed");
  if (failed == nullptr || !failed->is_array()) throw line.error("failed", "a list of checks");
  for (const Json& check : *failed) {
    if (!check.is_string()) throw line.error("failed", "a list of checks", "texts");
    out.failed.push_back(check.get<std::string>());
  }
  return out;
}

void check_header(const JsonObject& line, const std::string& reference) {
  if (line.string("schema") != kHistorySchema) {
    throw line.error("schema", "not a history of drift", std::string(kHistorySchema),
                     line.string("schema"));
  }
  if (line.string("reference") != reference) {
    throw line.error("reference", "this history belongs to another reference", reference,
                     line.string("reference"), "begin a new file for a new reference");
  }
}

Json to_json(const WindowRecord& window, const std::string& reference) {
  return {{"schema", kHistorySchema},
          {"reference", reference},
          {"window", window.window},
          {"reference_units", window.reference_units},
          {"window_units", window.window_units},
          {"p", window.p},
          {"sketch_z", number_or_null(window.sketch_z)},
          {"failed", window.failed}};
}

}  // namespace

std::optional<std::size_t> History::find(const std::string& window) const {
  const auto at = std::ranges::find(windows, window, &WindowRecord::window);
  if (at == windows.end()) return std::nullopt;
  return static_cast<std::size_t>(at - windows.begin());
}

History read_history(const std::filesystem::path& path, const std::string& reference) {
  History history{.reference = reference};
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return history;
  io::for_each_json_line(path, [&](const Json& json, std::int64_t number) {
    try {
      const JsonObject line(json, path.string());
      check_header(line, reference);
      history.windows.push_back(parse_window(line));
    } catch (const Error& error) {
      ErrorDetail detail = error.detail();
      detail.where =
          fmt::format("line {}{}{}", number, detail.where.empty() ? "" : ", ", detail.where);
      throw Error(error.kind(), std::move(detail));
    }
  });
  return history;
}

void write_history(const std::filesystem::path& path, const History& history) {
  std::string text;
  for (const WindowRecord& window : history.windows)
    text += to_json(window, history.reference).dump() + "\n";
  write_file_atomically(path, text);
}

WindowRecord record_of(const Comparison& comparison, std::string window_digest) {
  WindowRecord record{.window = std::move(window_digest),
                      .reference_units = comparison.reference_units,
                      .window_units = comparison.window_units,
                      .sketch_z = comparison.sketch_z};
  for (const LensShift& lens : comparison.lenses) {
    if (lens.p) record.p = std::min(record.p, lens.adjusted_p);
  }
  return record;
}

Sequence sequence_of(const std::vector<WindowRecord>& windows) {
  Sequence out{.windows = static_cast<std::int64_t>(windows.size())};
  stats::CumulativeSum sum;
  std::vector<double> p;
  for (const WindowRecord& window : windows) {
    const auto n = static_cast<double>(window.reference_units);
    const auto m = static_cast<double>(window.window_units);
    sum.slack = 0.5 + 2 * m / (n + m);
    if (window.sketch_z) sum.add(std::min(*window.sketch_z, kMostOfOneWindow));
    out.largest_creep = std::max(out.largest_creep, sum.level);
    p.push_back(window.p);
  }
  out.creep = sum.level;
  // p of 0 is +inf, which no report can hold.
  out.mean_e = std::min(stats::mean_e_value(p).value_or(0), kMostEvidence);
  return out;
}

}  // namespace loraproof::drift
