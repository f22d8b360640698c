// SPDX-License-Identifier: Apache-2.0
// On the demo model: right merges pass, wrong ones are caught, and only what passes is written.
#include "loraproof/commands/merge_golden.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <string>
#include <unistd.h>

#include "loraproof/commands/merge_golden_measures.h"
#include "loraproof/core/json.h"
#include "loraproof/core/progress.h"
#include "loraproof/report/gate.h"
#include "support/catch.h"

namespace loraproof::commands {
namespace {

namespace fs = std::filesystem;
using report::Check;
using report::Status;

const std::string kRoot = LORAPROOF_SOURCE_DIR;

// A folder of its own for one test.
class Folder {
 public:
  Folder() {
    static std::atomic<int> next{0};
    path_ = fs::temp_directory_path() /
            ("loraproof-merge-golden-" + std::to_string(::getpid()) + "-" + std::to_string(next++));
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] fs::path operator/(const char* name) const { return path_ / name; }
  [[nodiscard]] std::ptrdiff_t entries() const {
    return std::distance(fs::directory_iterator(path_), fs::directory_iterator());
  }

 private:
  fs::path path_;
};

MergeOptions demo(const fs::path& out) {
  MergeOptions options{.base = kRoot + "/examples/demo-model/base",
                       .adapters = {"a=" + kRoot + "/examples/demo-model/adapter"},
                       .out = out,
                       .golden = kRoot + "/golden/suites/demo"};
  options.engine.device = "cpu";
  return options;
}

const Check& check_of(const std::vector<Check>& checks, const std::string& id) {
  const auto found = std::ranges::find(checks, id, &Check::id);
  REQUIRE(found != checks.end());
  return *found;
}

// What the comparison says of `folder` as a merge of the demo's adapter with `weight`.
std::vector<Check> checks_of(const fs::path& folder, double weight = 1) {
  const auto progress = make_silent_progress();
  Context context{.progress = *progress};
  const std::array weights = {weight};
  const io::DigestByName
      base;  // no reference of an adapter of this name: nothing is compared with it
  return prove_merge(demo(folder), context, {folder, weights, base}).checks;
}

bool fails(const std::vector<Check>& checks) {
  return std::ranges::count(checks, Status::Fail, &Check::status) > 0;
}

fs::path merged(const Folder& folder, const char* name, MergeOptions options) {
  const auto progress = make_silent_progress();
  Context context{.progress = *progress};
  options.out = folder / name;
  REQUIRE(merge(options, context).exit_code() == ExitCode::Pass);
  return options.out;
}

}  // namespace

TEST_CASE("a right merge passes, and the base is far from it") {
  const Folder folder;
  const fs::path right = merged(folder, "right", demo(""));
  const std::vector<Check> checks = checks_of(right);
  for (const Check& check : checks) {
    INFO(check.id << ": " << check.message);
    CHECK(check.status == Status::Pass);
  }
  CHECK(check_of(checks, "merge.golden_reach").value > 100);
  CHECK(fs::exists(right / "config.json"));
  CHECK_FALSE(fs::exists(right / "config.json.unproven"));
}

TEST_CASE("merges with another scale, without the adapter or with it twice are caught") {
  const Folder folder;
  for (const char* weight : {"0", "0.5", "0.9", "1.1", "-1"}) {
    INFO(weight);
    MergeOptions options = demo("");
    options.weights = {weight};
    const fs::path wrong = merged(folder, weight, options);
    const std::vector<Check> checks = checks_of(wrong);
    CHECK(fails(checks));
    CHECK(check_of(checks, "merge.golden_kl_prompt").status == Status::Fail);
    CHECK_FALSE(fails(checks_of(wrong, std::stod(weight))));
  }
  MergeOptions twice = demo("");
  twice.base = merged(folder, "once", demo("")).string();
  twice.policy.sets = {"effect.already_merged.severity=info"};
  CHECK(fails(checks_of(merged(folder, "twice", twice))));
}

TEST_CASE("several adapters are compared with their weighted sum") {
  const Folder folder;
  fs::copy(kRoot + "/examples/demo-model/adapter", folder / "b", fs::copy_options::recursive);
  MergeOptions options = demo(folder / "out");
  options.adapters.push_back("b=" + (folder / "b").string());
  options.weights = {"a=0.7", "b=-0.2"};
  const auto progress = make_silent_progress();
  Context context{.progress = *progress};
  const report::Report report = merge_golden(options, context);
  CHECK_FALSE(fails(report.checks));
  CHECK(check_of(report.checks, "merge.golden_kl_prompt").value < 0.001);
  CHECK(report.exit_code() == ExitCode::Pass);
  CHECK(fs::exists(options.out / "config.json"));
}

TEST_CASE("only what the report's exit code calls a pass is written") {
  struct Case {
    Status status;
    report::InconclusiveExit inconclusive;
    bool written;
  };
  const Case cases[] = {{Status::Pass, report::InconclusiveExit::OwnCode, true},
                        {Status::Fail, report::InconclusiveExit::Pass, false},
                        {Status::Inconclusive, report::InconclusiveExit::OwnCode, false},
                        {Status::Inconclusive, report::InconclusiveExit::Fail, false},
                        {Status::Inconclusive, report::InconclusiveExit::Pass, true}};
  for (const Case& c : cases) {
    const Folder folder;
    const auto progress = make_silent_progress();
    Context context{.progress = *progress, .gate = {.inconclusive = c.inconclusive}};
    const report::Report report =
        merge(demo(folder / "out"), context, [&](const StagedMerge& staged) {
          CHECK(fs::exists(staged.folder / "config.json"));
          CHECK_FALSE(fs::exists(folder / "out"));
          MergeProof proof;
          proof.checks = {
              {.id = "merge.golden_text", .status = c.status, .required = true, .message = "test"}};
          return proof;
        });
    CHECK((report.exit_code() == ExitCode::Pass) == c.written);
    CHECK(folder.entries() == (c.written ? 1 : 0));
    CHECK(report.metrics.contains("output") == c.written);
  }
}

TEST_CASE("a suite that doesn't show the adapters proves nothing") {
  golden::Reference unmerged;
  unmerged.floor = {.kl_prompt = 0.004, .kl_answer = 1e-5, .cosine = 0.0009, .l2 = 0.04};
  unmerged.base_figures =
      golden::BaseFigures{.kl_prompt = 0.01, .kl_answer = 0.0001, .cosine = 0.9995};
  std::vector<golden::PromptDiff> prompts(40);
  for (golden::PromptDiff& prompt : prompts) {
    prompt.answer_tokens = 20;
    prompt.kl_prompt = 0.003;
    prompt.kl_answer = 1e-5;
  }
  const golden::GoldenDiff diff = golden::add_up(prompts);
  const auto judge = [&](const std::vector<std::string>& sets) {
    const report::Policy policy = load_policy({.sets = sets}, Json::object(), "");
    return report::gate(merge_golden_measures(diff, unmerged, policy), policy);
  };
  const std::vector<Check> checks = judge({});
  CHECK(check_of(checks, "merge.golden_kl_prompt").limit->max == Approx(0.012));
  CHECK(check_of(checks, "merge.golden_reach").status == Status::Inconclusive);
  CHECK(check_of(checks, "merge.golden_reach").value == Approx(0.01 / 0.012));
  // A limit of the user's counts, not the derived one.
  const std::vector<Check> tight = judge({"merge.golden_kl_prompt.max=0.005"});
  CHECK(check_of(tight, "merge.golden_reach").status == Status::Pass);
  CHECK(check_of(tight, "merge.golden_reach").value == Approx(2.0));
}

}  // namespace loraproof::commands
