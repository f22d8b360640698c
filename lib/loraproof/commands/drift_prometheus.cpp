// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/drift_prometheus.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <fmt/format.h>
#include <set>
#include <string_view>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/core/file.h"
#include "loraproof/core/json.h"

namespace loraproof::commands {
namespace {

using Labels = std::vector<std::pair<std::string, std::string>>;

// [a-zA-Z_][a-zA-Z0-9_]*, and not one of those that we set or Prometheus keeps for itself.
bool is_label_name(std::string_view name) {
  constexpr std::array<std::string_view, 5> kTaken = {"check", "subject", "status", "side",
                                                      "direction"};
  const auto is_word = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
  };
  return !name.empty() && std::isdigit(static_cast<unsigned char>(name.front())) == 0 &&
         std::ranges::all_of(name, is_word) && !name.starts_with("__") &&
         std::ranges::find(kTaken, name) == kTaken.end();
}

std::pair<std::string, std::string> label_of(const std::string& text) {
  const std::size_t equals = text.find('=');
  std::string name = text.substr(0, equals);
  if (equals == text.npos || !is_label_name(name)) {
    throw usage_error({.message = "not a label",
                       .where = "--prom-label",
                       .expected = "NAME=VALUE; a name of letters, digits and _, and not check, "
                                   "subject, status, side or direction",
                       .found = text});
  }
  return {std::move(name), text.substr(equals + 1)};
}

std::string escaped(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == '\n') {
      out += "\\n";
    } else {
      if (c == '\\' || c == '"') out += '\\';
      out += c;
    }
  }
  return out;
}

class Exposition {
 public:
  explicit Exposition(Labels common) : common_(std::move(common)) {}

  void gauge(std::string_view name, std::string_view help) {
    name_ = fmt::format("loraproof_drift_{}", name);
    out_ += fmt::format("# HELP {} {}\n# TYPE {} gauge\n", name_, help, name_);
  }
  void sample(const Labels& labels, double value) {
    std::string list;
    const Labels* const both[] = {&common_, &labels};
    for (const Labels* some : both) {
      for (const auto& [name, text] : *some)
        list += fmt::format("{}{}=\"{}\"", list.empty() ? "" : ",", name, escaped(text));
    }
    out_ += name_ + (list.empty() ? "" : "{" + list + "}") + fmt::format(" {}\n", value);
  }
  std::string take() { return std::move(out_); }

 private:
  Labels common_;
  std::string name_;
  std::string out_;
};

Labels labels_of(const report::Check& check) {
  return {{"check", check.id}, {"subject", check.subject}};
}

void add_checks(Exposition& out, const report::Report& report) {
  out.gauge("checks", "Checks of the last comparison by their status.");
  for (const auto status : {report::Status::Pass, report::Status::Warn, report::Status::Fail,
                            report::Status::Inconclusive, report::Status::Skipped}) {
    const auto count = std::ranges::count(report.checks, status, &report::Check::status);
    out.sample({{"status", std::string(name_of(status))}}, static_cast<double>(count));
  }
  out.gauge("check_failed", "1 where the check failed in the last comparison.");
  for (const report::Check& check : report.checks)
    out.sample(labels_of(check), check.status == report::Status::Fail ? 1 : 0);
  out.gauge("check_value", "Value of the check: the effect of a lens (loraproof explain CHECK).");
  for (const report::Check& check : report.checks) {
    if (check.value) out.sample(labels_of(check), *check.value);
  }
  out.gauge("check_limit", "The largest value of the check that passes.");
  for (const report::Check& check : report.checks) {
    if (check.limit && check.limit->max) out.sample(labels_of(check), *check.limit->max);
  }
}

void add_lenses(Exposition& out, const Json& drift) {
  out.gauge("adjusted_p", "p of the lens, adjusted over all lenses of the window (Holm).");
  for (const Json& lens : drift.at("lenses")) {
    if (lens.at("adjusted_p").is_number()) {
      out.sample({{"check", lens.at("id")}, {"subject", lens.at("subject")}},
                 lens.at("adjusted_p").get<double>());
    }
  }
  out.gauge("level", "What the adjusted p is held against.");
  out.sample({}, drift.at("level").get<double>());
}

}  // namespace

void check_prometheus(const DriftPrometheusOptions& options) {
  if (options.file.empty() && !options.labels.empty())
    throw usage_error(
        {.message = "labels of no file", .where = "--prom-label", .hint = "--prom FILE"});
  std::set<std::string> names;
  for (const std::string& label : options.labels) {
    if (!names.insert(label_of(label).first).second)
      throw usage_error(
          {.message = "two labels of one name", .where = "--prom-label", .found = label});
  }
}

std::string prometheus_text(const report::Report& report, const std::vector<std::string>& labels,
                            std::int64_t time) {
  Labels common;
  for (const std::string& label : labels) common.push_back(label_of(label));
  Exposition out(std::move(common));
  out.gauge("last_run_timestamp_seconds", "When the last comparison was made.");
  out.sample({}, static_cast<double>(time));
  out.gauge("units", "Prompts, outputs or sessions that were compared.");
  for (const char* side : {"reference", "window"})
    out.sample({{"side", side}}, report.metrics.at(side).at("units").get<double>());
  add_checks(out, report);
  add_lenses(out, report.metrics.at("drift"));
  return out.take();
}

void write_prometheus(const report::Report& report, const DriftPrometheusOptions& options) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  write_file_atomically(
      options.file, prometheus_text(report, options.labels,
                                    std::chrono::duration_cast<std::chrono::seconds>(now).count()));
}

}  // namespace loraproof::commands
