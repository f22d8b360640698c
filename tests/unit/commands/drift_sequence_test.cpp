// SPDX-License-Identifier: Apache-2.0
// Windows one after another: levels, alarms that must be seen twice, what is remembered.
#include "loraproof/commands/drift_sequence.h"

#include <string>
#include <vector>

#include "loraproof/commands/context.h"
#include "loraproof/core/error.h"
#include "loraproof/core/file.h"
#include "loraproof/core/json.h"
#include "support/catch.h"
#include "support/temp_dir.h"

namespace loraproof::commands {
namespace {

using loraproof::test::TempDir;
using report::Check;
using report::Status;

drift::Comparison comparison_of(double p, double z) {
  drift::Comparison result{.reference_units = 1000, .window_units = 1000, .sketch_z = z};
  drift::LensShift lens{.id = "sketch", .reference_n = 1000, .window_n = 1000};
  lens.p = lens.adjusted_p = p;
  result.lenses.push_back(lens);
  return result;
}

const report::Policy& policy() {
  static const report::Policy value = load_policy({}, Json::object(), "");
  return value;
}

// Judges one window whose length failed or didn't; returns its checks.
std::vector<Check> judged(const DriftSequenceOptions& options, const std::string& window,
                          bool length_failed, double z = 0, double p = 1) {
  DriftSequence sequence(options, 0.05, "sha256:reference", window);
  std::vector<Check> checks = {{.id = "drift.length",
                                .subject = "tokens",
                                .status = length_failed ? Status::Fail : Status::Pass},
                               {.id = "drift.prompts", .status = Status::Pass}};
  sequence.judge(comparison_of(p, z), policy(), checks);
  return checks;
}

Status status_of(const std::vector<Check>& checks, std::string_view id) {
  for (const Check& check : checks) {
    if (check.id == id) return check.status;
  }
  return Status::Skipped;
}

}  // namespace

TEST_CASE("the level of a window: alpha, its share of alpha, or one in the run length") {
  const TempDir folder;
  const auto level = [](const DriftSequenceOptions& options) {
    return DriftSequence(options, 0.05, "r", "w").level();
  };
  CHECK(level({}) == 0.05);
  CHECK(level({.number = 2}) == Approx(6 * 0.05 / (9.8696044010893586 * 4)).epsilon(1e-12));
  const std::string history = (folder.path() / "h.jsonl").string();
  CHECK(level({.history = history}) == Approx(6 * 0.05 / 9.8696044010893586).epsilon(1e-12));
  (void)judged({.history = history}, "sha256:1", false);
  const DriftSequence second({.history = history}, 0.05, "sha256:reference", "sha256:2");
  CHECK(second.number() == 2);
  CHECK(second.level() == Approx(6 * 0.05 / (9.8696044010893586 * 4)).epsilon(1e-12));
  CHECK(level({.history = (folder.path() / "new").string(), .run_length = 1000}) == 0.001);
}

TEST_CASE("with a run length an alarm must be seen twice in three windows") {
  const TempDir folder;
  const DriftSequenceOptions options{.history = (folder.path() / "h.jsonl").string(),
                                     .run_length = 1000};
  CHECK(status_of(judged(options, "1", true), "drift.length") == Status::Warn);
  CHECK(status_of(judged(options, "2", false), "drift.length") == Status::Pass);
  CHECK(status_of(judged(options, "3", true), "drift.length") == Status::Fail);  // 1 and 3
  CHECK(status_of(judged(options, "4", true), "drift.length") == Status::Fail);  // 3 and 4
  CHECK(status_of(judged(options, "5", false), "drift.length") == Status::Pass);
  CHECK(status_of(judged(options, "6", false), "drift.length") == Status::Pass);
  CHECK(status_of(judged(options, "7", true), "drift.length") == Status::Warn);  // 4 is too far
}

TEST_CASE("a window that was compared before is judged as then, and not remembered twice") {
  const TempDir folder;
  const auto path = folder.path() / "h.jsonl";
  const DriftSequenceOptions options{.history = path.string(), .run_length = 1000};
  (void)judged(options, "1", true);
  (void)judged(options, "2", true);
  const std::string before = read_text_file(path);
  CHECK(status_of(judged(options, "1", true), "drift.length") == Status::Warn);
  CHECK(status_of(judged(options, "2", true), "drift.length") == Status::Fail);
  CHECK(read_text_file(path) == before);
}

TEST_CASE("creep fails, evidence warns, and each falls back") {
  const TempDir folder;
  const DriftSequenceOptions options{.history = (folder.path() / "h.jsonl").string()};
  std::vector<Check> last;
  int windows = 0;
  // n = m: a slack of 1.5, so each window adds 2 and the fifth passes 8.
  do {
    last = judged(options, "w" + std::to_string(++windows), false, 3.5, 1e-6);
  } while (status_of(last, "drift.creep") == Status::Pass && windows < 20);
  CHECK(windows == 5);
  CHECK(status_of(last, "drift.creep") == Status::Fail);
  CHECK(status_of(last, "drift.evidence") == Status::Warn);
  CHECK(status_of(judged(options, "calm", false, -3), "drift.creep") == Status::Pass);
}

TEST_CASE("options that contradict each other") {
  CHECK_THROWS_AS(check_sequence({.number = 2, .history = "h"}), Error);
  CHECK_THROWS_AS(check_sequence({.run_length = 100}), Error);
  CHECK_NOTHROW(check_sequence({.history = "h", .run_length = 100}));
}

}  // namespace loraproof::commands
