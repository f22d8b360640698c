// SPDX-License-Identifier: Apache-2.0
#include "loraproof/report/writers/json.h"

#include <optional>
#include <string>

#include "loraproof/core/json.h"
#include "loraproof/core/json_number.h"

namespace loraproof::report {
namespace {

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json to_json(const Limit& limit) {
  return {{"min", number_or_null(limit.min)}, {"max", number_or_null(limit.max)}};
}

Json to_json(const Interval& interval) {
  return {{"low", number_or_null(interval.low)},
          {"high", number_or_null(interval.high)},
          {"level", number_or_null(interval.level)}};
}

Json to_json(const Check& check) {
  return {{"id", check.id},
          {"subject", check.subject},
          {"status", name_of(check.status)},
          {"severity", name_of(check.severity)},
          {"value", number_or_null(check.value)},
          {"limit", check.limit ? to_json(*check.limit) : Json(nullptr)},
          {"interval", check.interval ? to_json(*check.interval) : Json(nullptr)},
          {"n", check.n ? Json(*check.n) : Json(nullptr)},
          {"smallest_effect", number_or_null(check.smallest_effect)},
          {"message", check.message},
          {"hint", text_or_null(check.hint)},
          {"required", check.required}};
}

Json to_json(const ToolInfo& tool) {
  return {{"name", tool.name},
          {"version", tool.version},
          {"libtorch", text_or_null(tool.libtorch)},
          {"device", text_or_null(tool.device)},
          {"compute", text_or_null(tool.compute)},
          {"threads", tool.threads > 0 ? Json(tool.threads) : Json(nullptr)}};
}

Json to_json(const ErrorDetail& error) {
  return {{"id", text_or_null(error.id)},
          {"message", error.message},
          {"file", text_or_null(error.file)},
          {"where", text_or_null(error.where)},
          {"expected", text_or_null(error.expected)},
          {"found", text_or_null(error.found)},
          {"hint", text_or_null(error.hint)}};
}

}  // namespace

Json to_json(const Report& report) {
  Json document = {{"schema", kReportSchema},
                   {"tool", to_json(report.tool)},
                   {"command", report.command},
                   {"verdict", name_of(report.verdict())},
                   {"exit_code", static_cast<int>(report.exit_code())},
                   {"inputs", Json::array()},
                   {"checks", Json::array()},
                   {"prompts", report.prompts},
                   {"metrics", report.metrics}};
  for (const ReportInput& input : report.inputs) {
    document["inputs"].push_back(
        {{"role", input.role}, {"path", input.path}, {"sha256", text_or_null(input.sha256)}});
  }
  for (const Check& check : report.checks) document["checks"].push_back(to_json(check));
  if (report.run) document["run"] = *report.run;
  if (report.error) document["error"] = to_json(report.error->detail);
  return document;
}

std::string write_json(const Report& report, const WriterOptions&) {
  return to_json(report).dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace loraproof::report
