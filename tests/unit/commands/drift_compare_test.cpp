// SPDX-License-Identifier: Apache-2.0
// From what the lenses say to a verdict.
#include <limits>
#include <string>
#include <vector>

#include "loraproof/commands/context.h"
#include "loraproof/commands/drift_measures.h"
#include "loraproof/core/json.h"
#include "loraproof/report/gate.h"
#include "loraproof/report/writers/json.h"
#include "support/catch.h"

namespace loraproof::commands {
namespace {

using drift::Comparison;
using drift::LensShift;

// A comparison of `n` prompts a side where every lens is quiet, but for what a test changes.
Comparison quiet(std::int64_t n = 1000) {
  Comparison result{.reference_units = n, .window_units = n};
  for (const char* id : {"document_frequency", "sketch", "group_shift", "length"}) {
    LensShift lens{.id = id, .reference_n = n, .window_n = n};
    lens.p = 1;
    result.lenses.push_back(lens);
  }
  result.groups = stats::GroupDivergence{};
  result.groups->debiased = stats::DebiasedDivergences{};
  return result;
}

LensShift& lens_of(Comparison& comparison, std::string_view id) {
  return const_cast<LensShift&>(*comparison.find(id));
}

report::Report judged(const Comparison& comparison, const std::vector<std::string>& sets = {},
                      double level = 0.05) {
  report::Report report;
  const report::Policy policy = load_policy({.sets = sets}, Json::object(), "");
  report.checks = report::gate(drift_measures(comparison, {.level = level}), policy);
  return report;
}

report::Status status_of(const report::Report& report, std::string_view id) {
  for (const report::Check& check : report.checks) {
    if (check.id == id) return check.status;
  }
  return report::Status::Skipped;
}

}  // namespace

TEST_CASE("a lens fails when it is significant and its effect over the limit, never on one alone") {
  struct Row {
    double effect;
    double adjusted_p;
    report::Status status;
  };
  const Row rows[] = {{0, 1, report::Status::Pass},
                      {0.5, 1e-9, report::Status::Fail},
                      {0.5, 0.2, report::Status::Pass},
                      {0.05, 1e-9, report::Status::Warn},
                      {0.5, 0.05, report::Status::Fail}};
  for (const Row& row : rows) {
    INFO(row.effect << " " << row.adjusted_p);
    Comparison comparison = quiet();
    lens_of(comparison, "length").effect = row.effect;
    lens_of(comparison, "length").adjusted_p = row.adjusted_p;
    CHECK(status_of(judged(comparison), "drift.length") == row.status);
  }
}

TEST_CASE("the level of a later window is stricter") {
  Comparison comparison = quiet();
  lens_of(comparison, "length").effect = 0.5;
  lens_of(comparison, "length").adjusted_p = 0.01;
  CHECK(judged(comparison).verdict() == report::Verdict::Fail);
  CHECK(judged(comparison, {}, 0.002).verdict() == report::Verdict::Pass);
}

TEST_CASE("a token that moved is a warning, whatever the other lenses cost") {
  Comparison comparison = quiet();
  lens_of(comparison, "document_frequency").adjusted_p = 0.3;
  comparison.tokens.discoveries = 1;
  CHECK(status_of(judged(comparison), "drift.document_frequency") == report::Status::Warn);
  CHECK(judged(comparison).verdict() == report::Verdict::Pass);
}

TEST_CASE("too few prompts: no verdict, even if the bound says that everything changed") {
  Comparison comparison = quiet(5);
  for (LensShift& lens : comparison.lenses) {
    lens.p.reset();
    lens.reason = "few";
  }
  const report::Report report = judged(comparison);
  CHECK(report.verdict() == report::Verdict::Inconclusive);
  CHECK(status_of(report, "drift.document_frequency") == report::Status::Skipped);
  comparison = quiet();
  comparison.window_units = 0;
  CHECK(judged(comparison).verdict() == report::Verdict::Inconclusive);
}

TEST_CASE("a lens without units on one side is undecided, and keeps no verdict") {
  Comparison comparison = quiet();
  LensShift& lens = lens_of(comparison, "length");
  lens.p.reset();
  lens.one_sided = true;
  lens.reason = "one side";
  const report::Report report = judged(comparison);
  CHECK(status_of(report, "drift.length") == report::Status::Inconclusive);
  CHECK(report.verdict() == report::Verdict::Pass);
}

TEST_CASE("PSI and KL gate only with a limit of the user and the groups' significance") {
  Comparison comparison = quiet();
  comparison.groups->debiased->psi = 0.3;
  comparison.groups->debiased->kl_window_reference = 0.15;
  CHECK(status_of(judged(comparison), "drift.psi") == report::Status::Pass);
  CHECK(judged(comparison, {"drift.psi.max=0.2"}).verdict() == report::Verdict::Pass);
  lens_of(comparison, "group_shift").adjusted_p = 1e-6;
  CHECK(status_of(judged(comparison), "drift.psi") == report::Status::Pass);
  CHECK(status_of(judged(comparison, {"drift.psi.max=0.2"}), "drift.psi") == report::Status::Fail);
  CHECK(status_of(judged(comparison, {"drift.kl.max=0.1"}), "drift.kl") == report::Status::Fail);
}

TEST_CASE("a number that is not finite is null") {
  Comparison comparison = quiet();
  comparison.groups->plain.psi = std::numeric_limits<double>::infinity();
  comparison.groups->plain.kl_reference_window = std::numeric_limits<double>::quiet_NaN();
  const Json metrics = drift_metrics(comparison);
  CHECK(metrics["groups"]["psi"].is_null());
  CHECK(metrics["groups"]["kl_reference_window"].is_null());
}

TEST_CASE("contributions are as many as asked for, with their direction") {
  Comparison comparison = quiet();
  comparison.tokens.tokens = {{.id = 7, .reference = 0.5, .window = 0.1, .difference = -0.4},
                              {.id = 8, .reference = 0.1, .window = 0.2, .difference = 0.1}};
  const Json rows = drift_contributions(comparison, nullptr, 1);
  REQUIRE(rows.size() == 1);
  CHECK(rows[0]["id"] == 7);
  CHECK(rows[0]["direction"] == "down");
  CHECK(rows[0]["text"].is_null());
}

}  // namespace loraproof::commands
