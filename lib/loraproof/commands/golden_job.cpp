// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/golden_job.h"

#include <ATen/ATen.h>
#include <utility>

namespace loraproof::commands {

TextInput GoldenJob::open_text() const {
  return commands::open_text(suite, session.base.folder,
                             session.adapter ? &session.adapter->folder : nullptr);
}

engine::Lane GoldenJob::lane(at::ScalarType lane_compute) const {
  return engine::make_lane(session.lane_name(), session.landing.patches, lane_compute, device);
}

engine::LayerStore GoldenJob::store(at::ScalarType store_compute, BaseWatch* watch) const {
  engine::StoreOptions store_options{
      .compute = store_compute, .device = device, .memory_bytes = options.engine.memory_bytes};
  if (watch != nullptr) {
    store_options.on_first_read = [watch](const io::TensorView& view) { watch->see(view); };
  }
  return {session.base.checkpoint, session.base.config, std::move(store_options)};
}

GoldenJob open_job(const ValidateOptions& options) {
  golden::Suite suite = golden::read_suite(options.golden);
  report::Policy policy =
      load_policy(options.policy, suite.limits, (suite.folder / "suite.yaml").string());
  const at::Device device = parse_device(options.engine.device);
  const at::ScalarType compute = parse_compute(options.engine.compute);
  return {options, std::move(suite), std::move(policy),
          device,  compute,          open_session(options.base, options.adapter)};
}

report::Report begin_report(const GoldenJob& job, std::string command) {
  report::Report report;
  report.tool = begin_engine(job.options.engine, job.device);
  report.command = std::move(command);
  report.inputs = {{"base", job.session.base.folder.string(), ""}};
  if (job.session.adapter) {
    report.inputs.push_back({"adapter", job.session.adapter->folder.string(), ""});
  }
  report.inputs.push_back({"golden", job.options.golden, job.suite.digest});
  return report;
}

void set_digests(report::Report& report, const golden::Identity& identity) {
  for (report::ReportInput& input : report.inputs) {
    if (input.role == "base") input.sha256 = io::combined_digest(identity.base);
    if (input.role == "adapter") input.sha256 = io::combined_digest(identity.adapter);
  }
}

}  // namespace loraproof::commands
