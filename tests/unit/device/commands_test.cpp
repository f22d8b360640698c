// SPDX-License-Identifier: Apache-2.0
// Whole commands on the guarded device, through the library's entry points: validate and
// merge --golden against the committed references and faults that they must find, quantcheck
// against the CPU.
#include <ATen/ATen.h>
#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <string>

#include "loraproof/commands/merge_golden.h"
#include "loraproof/commands/quantcheck.h"
#include "loraproof/commands/session.h"
#include "loraproof/commands/validate.h"
#include "loraproof/core/error.h"
#include "loraproof/core/progress.h"
#include "support/catch.h"
#include "support/guarded_device/guarded_device.h"
#include "support/temp_dir.h"

using namespace loraproof;

namespace {

const std::string kRoot = LORAPROOF_SOURCE_DIR;
const std::string kDemo = kRoot + "/examples/demo-model";
const std::string kSuite = kRoot + "/golden/suites/demo";

commands::EngineOptions on_device(commands::Compute compute = commands::Compute::Bf16) {
  (void)test::guarded_device();
  return {.device = test::kGuardedName, .compute = compute};
}

template <typename Options, typename Command>
report::Report run(const Command& command, const Options& options) {
  const auto progress = make_silent_progress();
  commands::Context context{.progress = *progress};
  const auto before = test::guarded_counts();
  report::Report report = command(options, context);
  const bool there = options.engine.device == test::kGuardedName;
  CHECK((test::guarded_counts().operators > before.operators) == there);
  return report;
}

report::Report validate(const commands::ValidateOptions& options) {
  const report::Report report = run(commands::validate, options);
  CHECK(report.tool.device == "guarded:0");
  return report;
}

report::Status status_of(const report::Report& report, const std::string& id) {
  const auto found = std::ranges::find(report.checks, id, &report::Check::id);
  REQUIRE(found != report.checks.end());
  return found->status;
}

commands::ValidateOptions demo(const std::string& base = "base") {
  return {.base = kDemo + "/" + base,
          .adapters = {kDemo + "/adapter"},
          .golden = kSuite,
          .engine = on_device()};
}

// The demo's suite with its first prompts alone.
class ShortSuite {
 public:
  explicit ShortSuite(int prompts) {
    std::ifstream all(kSuite + "/prompts.jsonl");
    std::string kept;
    for (std::string line; prompts-- > 0 && std::getline(all, line);) kept += line + "\n";
    folder_.write("prompts.jsonl", kept);
    std::filesystem::copy_file(kSuite + "/suite.yaml", folder_.path() / "suite.yaml");
  }
  [[nodiscard]] std::string path() const { return folder_.path().string(); }

 private:
  test::TempDir folder_;
};

// Reports of one quantcheck on the device and on the CPU.
struct Sides {
  report::Report there, here;

  Sides(commands::QuantcheckOptions options, const ShortSuite& suite) {
    options.base = kDemo + "/base";
    options.adapter = kDemo + "/adapter";
    options.golden = suite.path();
    options.engine = on_device(commands::Compute::Fp32);
    there = run(commands::quantcheck, options);
    options.engine.device = "cpu";
    here = run(commands::quantcheck, options);
  }
};

// In FP32 products differ in their last bits alone: figures of quantised weights agree within a
// thousandth. An input that lies between two codes can take the other one, which moves figures of
// quantised inputs by some percent: the mean of ten prompts by 8 % at most where it was tried.
constexpr double kWeights = 1e-3;
constexpr double kInputs = 0.2;
// What is left of a KLD of nothing in FP32.
constexpr double kNoKld = 2e-9;

// |a - b| as a share of the larger one; both null is equal, too.
bool near(const Json& a, const Json& b, double share) {
  if (!a.is_number() || !b.is_number()) return a == b;
  const double x = a.get<double>(), y = b.get<double>();
  return std::fabs(x - y) <= share * std::max(std::fabs(x), std::fabs(y)) + kNoKld;
}

}  // namespace

TEST_CASE("a device that was registered with libtorch has its name there, and no other") {
  CHECK(commands::parse_device(on_device().device) == test::guarded_device());
  CHECK(commands::parse_device("cpu") == at::Device(at::kCPU));
  CHECK(commands::parse_device("auto") ==
        (at::hasCUDA() ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU)));
  for (const char* name : {"privateuseone", "guard", "guarded:0", ""})
    CHECK_THROWS_AS(commands::parse_device(name), Error);
}

TEST_CASE("validate on a device passes what the CPU recorded, resident and streamed") {
  struct Case {
    commands::Compute compute;
    std::optional<std::uint64_t> memory;
  };
  // A layer has 0.4 MB in BF16: all of it, two layers in flight, one layer at a time.
  for (const Case& c : {Case{commands::Compute::Bf16, {}}, Case{commands::Compute::Bf16, 1'000'000},
                        Case{commands::Compute::Fp32, 100'000}}) {
    INFO(choice_name(commands::kComputeNames, c.compute) << " " << c.memory.value_or(0));
    commands::ValidateOptions options = demo();
    options.engine = on_device(c.compute);
    options.engine.memory_bytes = c.memory;
    const report::Report report = validate(options);
    for (const report::Check& check : report.checks) {
      INFO(check.id << " " << check.subject << ": " << check.message);
      CHECK(check.status != report::Status::Fail);
    }
    CHECK(report.exit_code() == ExitCode::Pass);
  }
}

TEST_CASE("validate on a device finds the changed base, and names what it did") {
  const report::Report report = validate(demo("changed-base"));
  CHECK(report.exit_code() == ExitCode::Fail);
  CHECK(status_of(report, "identity.base") == report::Status::Fail);
  CHECK(status_of(report, "golden.text") == report::Status::Fail);
  CHECK_FALSE(report.prompts.empty());
}

TEST_CASE("what was recorded on a device passes on the CPU") {
  const test::TempDir folder;
  const auto suite = folder.path() / "suite";
  std::filesystem::create_directories(suite);
  for (const char* name : {"suite.yaml", "prompts.jsonl"})
    std::filesystem::copy_file(kSuite + "/" + name, suite / name);
  commands::ValidateOptions options = demo();
  options.golden = suite.string();
  const report::Report recorded = run(commands::record, options);
  CHECK(recorded.exit_code() == ExitCode::Pass);
  CHECK(recorded.tool.device == "guarded:0");
  options.engine.device = "cpu";
  const report::Report report = run(commands::validate, options);
  CHECK(report.exit_code() == ExitCode::Pass);
}

TEST_CASE("merge --golden on a device writes a right merge and no other") {
  const test::TempDir folder;
  commands::MergeOptions options{.base = kDemo + "/base",
                                 .adapters = {kDemo + "/adapter"},
                                 .out = folder.path() / "right",
                                 .golden = kSuite,
                                 .engine = on_device(commands::Compute::Fp32)};
  const report::Report right = run(commands::merge_golden, options);
  CHECK(right.exit_code() == ExitCode::Pass);
  CHECK(right.tool.device == "guarded:0");
  CHECK(std::filesystem::exists(folder.path() / "right/config.json"));

  // The same folder judged as if nine tenths of the adapter were in it.
  const auto progress = make_silent_progress();
  commands::Context context{.progress = *progress};
  const double weights[] = {0.9};
  const io::DigestByName base;
  options.adapters = {"other=" + kDemo + "/adapter"};
  const commands::MergeProof wrong =
      commands::prove_merge(options, context, {folder.path() / "right", weights, base});
  CHECK(std::ranges::count(wrong.checks, report::Status::Fail, &report::Check::status) > 0);
}

namespace {

const Json& scheme_of(const report::Report& report, const std::string& scheme,
                      const std::string& deployment) {
  const Json& all = report.metrics.at("schemes");
  const auto found = std::ranges::find_if(all, [&](const Json& one) {
    return one.at("scheme") == scheme && one.at("deployment") == deployment;
  });
  REQUIRE(found != all.end());
  return *found;
}

void expect_same_schemes(const Sides& sides, std::size_t lanes, double share) {
  const Json& found = sides.there.metrics.at("schemes");
  const Json& expected = sides.here.metrics.at("schemes");
  REQUIRE(found.size() == lanes);
  REQUIRE(expected.size() == lanes);
  for (std::size_t i = 0; i < lanes; ++i) {
    INFO(found[i].at("scheme") << " " << found[i].at("deployment"));
    for (const char* key : {"scheme", "deployment", "bytes"})
      CHECK(found[i].at(key) == expected[i].at(key));
    for (const char* key : {"kld_mean", "ppl_ratio", "rho", "noise", "embedding_l2"}) {
      INFO(key << ": " << found[i].at(key) << " and " << expected[i].at(key));
      CHECK(near(found[i].at(key), expected[i].at(key), share));
    }
  }
  REQUIRE(sides.there.checks.size() == sides.here.checks.size());
  for (std::size_t i = 0; i < sides.here.checks.size(); ++i) {
    INFO(sides.here.checks[i].id << " " << sides.here.checks[i].subject);
    CHECK(sides.there.checks[i].status == sides.here.checks[i].status);
  }
}

}  // namespace

TEST_CASE("quantcheck on a device gives the CPU's figures: orders, layers and modules to blame") {
  const ShortSuite suite(10);
  const Sides sides({.schemes = {"nf4"}, .blame = commands::BlameMode::Swap}, suite);
  expect_same_schemes(sides, 5, kWeights);
  CHECK(scheme_of(sides.there, "nf4", "A").at("kld_mean") > 1e-5);
  const auto layers_of = [](const report::Report& report) {
    std::map<std::int64_t, Json> layers;
    for (const Json& row : report.metrics.at("layers")) layers[row.at("layer")] = row;
    return layers;
  };
  const auto layers = layers_of(sides.there), expected = layers_of(sides.here);
  REQUIRE(layers.size() == 4);
  REQUIRE(expected.size() == 4);
  for (const auto& [layer, row] : layers) {
    INFO(row.dump() << " and " << expected.at(layer).dump());
    REQUIRE(row.at("swap").is_number());
    CHECK(near(row.at("estimate"), expected.at(layer).at("estimate"), kWeights));
    CHECK(near(row.at("swap"), expected.at(layer).at("swap"), kWeights));
  }
}

TEST_CASE("quantcheck on a device gives the CPU's figures: quantised inputs, outliers, groups") {
  const ShortSuite suite(10);
  const Sides sides({.schemes = {"int8-w8a8", "llm-int8", "fp8-block", "fp8-w8a8-static"},
                     .orders = {deploy::Order::QuantisedBase, deploy::Order::MergedThenQuantised}},
                    suite);
  expect_same_schemes(sides, 12, kInputs);
}

TEST_CASE("a deployment that quantcheck wrote is a candidate that is judged as its lane was") {
  const ShortSuite suite(10);
  const test::TempDir folder;
  const std::string written = (folder.path() / "nf4-b").string();
  commands::QuantcheckOptions options{.base = kDemo + "/base",
                                      .adapter = kDemo + "/adapter",
                                      .golden = suite.path(),
                                      .schemes = {"nf4"},
                                      .orders = {deploy::Order::MergedThenQuantised},
                                      .gated = {deploy::Order::MergedThenQuantised},
                                      .blame = commands::BlameMode::Off,
                                      .write = written,
                                      .engine = on_device(commands::Compute::Fp32)};
  const Json lane = scheme_of(run(commands::quantcheck, options), "nf4", "B");
  options.schemes.clear();
  options.write.clear();
  options.merged_candidates = {written};
  const Json candidate = scheme_of(run(commands::quantcheck, options), "nf4-b", "B");
  INFO(lane.dump() << " and " << candidate.dump());
  CHECK(near(lane.at("kld_mean"), candidate.at("kld_mean"), kWeights));
}
