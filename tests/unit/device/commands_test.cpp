// SPDX-License-Identifier: Apache-2.0
// Whole commands on the guarded device, through the library's entry points: validate and
// merge --golden against the committed references and faults that they must find, quantcheck
// against the CPU.
#include <ATen/ATen.h>
#include <algorithm>
#include <cmath>
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

commands::EngineOptions on_device(const std::string& compute = "bf16") {
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

commands::QuantcheckOptions quantcheck_of(commands::EngineOptions engine) {
  return {.base = kDemo + "/base",
          .adapter = kDemo + "/adapter",
          .golden = kSuite,
          .schemes = {"nf4", "int8-w8a8"},
          .gated = {"A", "B"},
          .blame = "swap",
          .engine = std::move(engine)};
}

double number(const Json& value) { return value.is_number() ? value.get<double>() : NAN; }

// |a - b| as a share of the larger one.
bool near(double a, double b, double share) {
  return std::fabs(a - b) <= share * std::max(std::fabs(a), std::fabs(b));
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
  for (const std::optional<std::uint64_t> memory :
       {std::optional<std::uint64_t>(), std::optional<std::uint64_t>(100'000),
        std::optional<std::uint64_t>(1'000'000)}) {
    commands::ValidateOptions options = demo();
    options.engine.memory_bytes = memory;
    options.with_base = true;
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
                                 .engine = on_device()};
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

TEST_CASE("quantcheck on a device says of every deployment what it says on the CPU") {
  const report::Report there = run(commands::quantcheck, quantcheck_of(on_device("fp32")));
  const report::Report here =
      run(commands::quantcheck, quantcheck_of({.device = "cpu", .compute = "fp32"}));
  const Json& found = there.metrics.at("schemes");
  const Json& expected = here.metrics.at("schemes");
  REQUIRE(found.size() == expected.size());
  REQUIRE(found.size() >= 9);
  for (std::size_t i = 0; i < found.size(); ++i) {
    INFO(found[i].at("scheme") << " " << found[i].at("deployment"));
    CHECK(found[i].at("scheme") == expected[i].at("scheme"));
    CHECK(found[i].at("deployment") == expected[i].at("deployment"));
    CHECK(found[i].at("bytes") == expected[i].at("bytes"));
    // Products in FP32 differ in their last bits alone.
    for (const char* key : {"kld_mean", "kld_p99", "ppl_ratio", "rho", "noise", "embedding_l2"}) {
      INFO(key << ": " << found[i].at(key) << " and " << expected[i].at(key));
      CHECK(near(number(found[i].at(key)), number(expected[i].at(key)), 1e-3));
    }
  }
  REQUIRE(there.checks.size() == here.checks.size());
  for (std::size_t i = 0; i < here.checks.size(); ++i) {
    INFO(here.checks[i].id << " " << here.checks[i].subject);
    CHECK(there.checks[i].status == here.checks[i].status);
  }
  const Json& layers = there.metrics.at("layers");
  const Json& layers_here = here.metrics.at("layers");
  REQUIRE(layers.size() == layers_here.size());
  REQUIRE_FALSE(layers.empty());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    INFO(layers[i].dump() << " and " << layers_here[i].dump());
    for (const char* key : {"estimate", "swap"})
      CHECK(near(number(layers[i].at(key)), number(layers_here[i].at(key)), 1e-3));
  }
}

TEST_CASE("quantcheck on a device in bf16 agrees with the CPU, outliers and candidates included") {
  commands::QuantcheckOptions options = quantcheck_of(on_device());
  options.schemes = {"nf4", "llm-int8", "fp8-block"};
  options.candidates = {kDemo + "/base"};
  options.blame = "fast";
  const report::Report there = run(commands::quantcheck, options);
  options.engine.device = "cpu";
  const report::Report here = run(commands::quantcheck, options);
  const Json& found = there.metrics.at("schemes");
  const Json& expected = here.metrics.at("schemes");
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    INFO(found[i].dump() << "\n" << expected[i].dump());
    CHECK(near(number(found[i].at("kld_mean")), number(expected[i].at("kld_mean")), 0.1));
  }
}
