// SPDX-License-Identifier: Apache-2.0
// What validating and recording have in common: the opened suite, policy, base and adapters, and
// the report that says so.
#pragma once

#include <ATen/core/Tensor.h>
#include <optional>
#include <span>
#include <vector>

#include "loraproof/commands/baseline.h"
#include "loraproof/commands/session.h"
#include "loraproof/commands/validate.h"

namespace loraproof::commands {

struct GoldenJob {
  const ValidateOptions& options;
  golden::Suite suite;
  golden::Against against;
  report::Policy policy;
  std::optional<Baseline> baseline;
  at::Device device;
  at::ScalarType compute;
  Session session;

  [[nodiscard]] TextInput open_text() const;
  /// The lane of one adapter, or of the base alone (null).
  [[nodiscard]] engine::Lane lane(const AdapterSession* adapter, at::ScalarType lane_compute) const;
  /// A store in `store_compute`; `watch` may be null.
  [[nodiscard]] engine::LayerStore store(at::ScalarType store_compute, BaseWatch* watch) const;
  [[nodiscard]] BaseWatch watch() const;
  /// Checks for measures of the whole suite: the policy, then what the baseline accepts.
  [[nodiscard]] std::vector<report::Check> judge(std::span<const report::Measure> measures) const;
  /// Of one adapter: its name stands before each subject where there are several.
  [[nodiscard]] Measures of_adapter(const AdapterSession& adapter, Measures measures) const;
  /// Everything that is known of the adapters before a weight is read.
  [[nodiscard]] Measures adapter_measures() const;
};

/// The name of a lane in reports and references: the adapter's, or "base".
[[nodiscard]] std::string lane_name(const AdapterSession* adapter);

/// Opens everything the options name, headers only. Throws as its parts do; `options` must outlive
/// it.
[[nodiscard]] GoldenJob open_job(const ValidateOptions& options);

/// A report with tool and inputs (base, adapters, golden).
[[nodiscard]] report::Report begin_report(const GoldenJob& job, std::string command);

/// Fills in the digests of base and adapters, once they are known; `adapters` in their order.
void set_digests(report::Report& report, const io::DigestByName& base,
                 std::span<const adapter::AdapterIdentity> adapters);

}  // namespace loraproof::commands
