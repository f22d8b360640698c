// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/golden_job.h"

#include <ATen/ATen.h>
#include <utility>

#include "loraproof/core/json.h"
#include "loraproof/report/gate.h"

namespace loraproof::commands {

TextInput GoldenJob::open_text() const {
  return commands::open_text(
      suite, session.base.folder,
      session.adapters.empty() ? nullptr : &session.adapters.front().input.folder);
}

engine::Lane GoldenJob::lane(const AdapterSession* adapter, at::ScalarType lane_compute) const {
  return engine::make_lane(lane_name(adapter),
                           adapter == nullptr ? adapter::PatchSet{} : adapter->landing.patches,
                           lane_compute, device);
}

BaseWatch GoldenJob::watch() const {
  std::vector<const adapter::PatchSet*> patches;
  for (const AdapterSession& adapter : session.adapters)
    patches.push_back(&adapter.landing.patches);
  return {session.base.checkpoint, session.base.modules, std::move(patches)};
}

std::vector<report::Check> GoldenJob::judge(std::span<const report::Measure> measures) const {
  std::vector<report::Check> checks = report::gate(measures, policy);
  if (baseline) accept_known(checks, *baseline, policy.table());
  return checks;
}

Measures GoldenJob::of_adapter(const AdapterSession& adapter, Measures measures) const {
  return session.adapters.size() > 1 ? with_subject(std::move(measures), adapter.input.name)
                                     : std::move(measures);
}

Measures GoldenJob::adapter_measures() const {
  Measures measures;
  for (const AdapterSession& adapter : session.adapters)
    append(measures, of_adapter(adapter, adapter.measures));
  return measures;
}

std::string lane_name(const AdapterSession* adapter) {
  return adapter == nullptr ? "base" : adapter->input.name;
}

engine::LayerStore GoldenJob::store(at::ScalarType store_compute, BaseWatch* watch) const {
  engine::StoreOptions store_options{
      .compute = store_compute, .device = device, .memory_bytes = options.engine.memory_bytes};
  if (watch != nullptr) {
    store_options.on_first_read = [watch](const io::TensorView& view) { watch->see(view); };
  }
  return {session.base.checkpoint, session.base.config, std::move(store_options)};
}

namespace {

// A slice can have limits for the figures that exist per prompt; a mistake shows before the sweep.
void check_slices(const golden::Suite& suite, const report::Policy& policy) {
  for (const golden::Slice& slice : suite.slices) {
    const JsonObject limits(slice.limits, (suite.folder / "suite.yaml").string(),
                            "/slices/" + slice.name);
    report::Policy copy = policy;
    copy.apply_checks(limits);
    copy.expect_consistent();
    for (const auto& [id, fields] : slice.limits.items()) {
      if (id.starts_with("golden.") && id != "golden.prompts" && id != "golden.base_distance")
        continue;
      throw limits.error(id, "this check is not made per slice", "a golden.* figure of prompts", "",
                         "set it under \"limits\"");
    }
  }
}

}  // namespace

GoldenJob open_job(const ValidateOptions& options) {
  golden::Suite suite = golden::read_suite(options.golden);
  const golden::Against against = options.against.value_or(suite.against);
  report::Policy policy =
      load_policy(options.policy, suite.limits, (suite.folder / "suite.yaml").string());
  check_slices(suite, policy);
  std::optional<Baseline> baseline;
  if (options.baseline) baseline = read_baseline(*options.baseline);
  const at::Device device = parse_device(options.engine.device);
  const at::ScalarType compute = scalar_type_of(options.engine.compute);
  Session session = open_session(options.base, options.adapters);
  return {options, std::move(suite), against,           std::move(policy), std::move(baseline),
          device,  compute,          std::move(session)};
}

report::Report begin_report(const GoldenJob& job, std::string command) {
  report::Report report;
  report.tool = begin_engine(job.options.engine, job.device);
  report.command = std::move(command);
  report.inputs = {{"base", job.session.base.folder.string(), ""}};
  for (const AdapterSession& adapter : job.session.adapters) {
    report.inputs.push_back({"adapter", adapter.input.folder.string(), ""});
  }
  report.inputs.push_back({"golden", job.options.golden, job.suite.digest});
  if (job.options.baseline)
    report.inputs.push_back({"baseline", job.options.baseline->string(), ""});
  return report;
}

void set_digests(report::Report& report, const io::DigestByName& base,
                 std::span<const adapter::AdapterIdentity> adapters) {
  auto next = adapters.begin();
  for (report::ReportInput& input : report.inputs) {
    if (input.role == "base") input.sha256 = io::combined_digest(base);
    if (input.role == "adapter") input.sha256 = io::combined_digest((next++)->tensors);
  }
}

}  // namespace loraproof::commands
