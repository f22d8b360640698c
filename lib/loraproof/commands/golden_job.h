// SPDX-License-Identifier: Apache-2.0
// What validating and recording have in common: the opened suite, policy, base and adapter, and the
// report that says so.
#pragma once

#include <ATen/core/Tensor.h>
#include <vector>

#include "loraproof/commands/session.h"
#include "loraproof/commands/validate.h"

namespace loraproof::commands {

struct GoldenJob {
  const ValidateOptions& options;
  golden::Suite suite;
  report::Policy policy;
  at::Device device;
  at::ScalarType compute;
  Session session;

  [[nodiscard]] TextInput open_text() const;
  [[nodiscard]] engine::Lane lane(at::ScalarType lane_compute) const;
  /// A store in `store_compute`; `watch` may be null.
  [[nodiscard]] engine::LayerStore store(at::ScalarType store_compute, BaseWatch* watch) const;
};

/// Opens everything the options name, headers only. Throws as its parts do; `options` must outlive
/// it.
[[nodiscard]] GoldenJob open_job(const ValidateOptions& options);

/// A report with tool and inputs (base, adapter where given, golden).
[[nodiscard]] report::Report begin_report(const GoldenJob& job, std::string command);

/// Fills in the digests of base and adapter, once they are known.
void set_digests(report::Report& report, const golden::Identity& identity);

}  // namespace loraproof::commands
