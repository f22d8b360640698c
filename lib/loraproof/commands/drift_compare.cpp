// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/drift_compare.h"

#include <algorithm>
#include <utility>

#include "loraproof/commands/drift_log.h"
#include "loraproof/commands/drift_measures.h"
#include "loraproof/commands/drift_sides.h"
#include "loraproof/core/digest.h"
#include "loraproof/core/json.h"
#include "loraproof/drift/profile_file.h"
#include "loraproof/report/gate.h"

namespace loraproof::commands {
namespace {

void expect_same_tokenizer(const drift::Encoder* encoder, const drift::Profile& profile) {
  if (encoder == nullptr || encoder->digest == profile.fingerprint.tokenizer) return;
  throw input_error({.message = "the profiles were made with another tokenizer",
                     .file = encoder->file.string(),
                     .expected = profile.fingerprint.tokenizer,
                     .found = encoder->digest});
}

// Everything that is judged, and what is printed beside it.
class Judgement {
 public:
  Judgement(const DriftCompareOptions& options, DriftSides sides)
      : options_(options),
        policy_(load_policy(options.policy, Json::object(), "")),
        sides_(std::move(sides)),
        encoder_(sides_.encoder ? &*sides_.encoder : nullptr),
        sequence_(options.sequence, policy_.number("drift.alpha"),
                  digest_of(options.sequence, sides_.reference),
                  digest_of(options.sequence, sides_.window)),
        rules_{.level = sequence_.level(), .min_units = policy_.check("drift.prompts").min_n} {
    drift::expect_comparable(sides_.reference, sides_.window);
    expect_same_tokenizer(encoder_, sides_.reference);
  }

  report::Report judge() {
    whole_ = drift::compare(sides_.reference, sides_.window, rules_);
    segments_ = drift::compare_segments(sides_.reference, sides_.window, rules_, whole_);
    if (options_.calibrate) {
      limits_ = drift::calibrated_limits(sides_.reference, sides_.calibration, rules_);
    }
    report::Report report = report_of("drift compare");
    add_inputs(report);
    add_metrics(report);
    report.checks = checks();
    if (std::min(whole_.reference_units, whole_.window_units) >= rules_.min_units) {
      sequence_.judge(whole_, policy_, report.checks);
      report.metrics["drift"]["sequence"] = sequence_.metrics();
    }
    return report;
  }

 private:
  static std::string digest_of(const DriftSequenceOptions& options, const drift::Profile& profile) {
    return options.history.empty() ? "" : sha256_of(drift::to_bytes(profile));
  }

  std::vector<report::Check> checks() const {
    std::vector<report::Measure> measures = drift_measures(whole_, rules_, limits_);
    measures.insert(measures.end(), sides_.malformed.begin(), sides_.malformed.end());
    std::vector<report::Check> checks = report::gate(measures, policy_);
    for (report::Check& check :
         segment_checks(sides_.reference.segmented_by, segments_, rules_, policy_)) {
      checks.push_back(std::move(check));
    }
    return checks;
  }

  void add_inputs(report::Report& report) const {
    report.inputs = {{"reference", options_.reference, ""}, {"window", options_.window, ""}};
    if (encoder_ != nullptr)
      report.inputs.push_back({"tokenizer", encoder_->file.string(), encoder_->digest});
  }

  void add_metrics(report::Report& report) const {
    Json& metrics = report.metrics;
    metrics["reference"] = metrics_of(sides_.reference);
    metrics["window"] = metrics_of(sides_.window);
    metrics["drift"] = drift_metrics(whole_);
    metrics["drift"]["level"] = rules_.level;
    metrics["drift"]["window_number"] = sequence_.number();
    metrics["drift"]["calibration"] = options_.calibrate ? calibration_metrics(limits_) : nullptr;
    metrics["contributions"] = contributions(whole_);
    if (sides_.reference.segmented_by.empty()) return;
    Json& segments = metrics["segments"] = Json::object();
    for (const drift::SegmentComparison& segment : segments_.compared) {
      segments[segment.value] = drift_metrics(segment.comparison);
      segments[segment.value]["contributions"] = contributions(segment.comparison);
    }
  }

  [[nodiscard]] Json contributions(const drift::Comparison& comparison) const {
    return drift_contributions(comparison, encoder_ != nullptr ? &encoder_->tokenizer : nullptr,
                               static_cast<std::size_t>(policy_.integer("drift.contributions")));
  }

  const DriftCompareOptions& options_;
  report::Policy policy_;
  DriftSides sides_;
  const drift::Encoder* encoder_;
  DriftSequence sequence_;
  drift::CompareOptions rules_;
  drift::Comparison whole_;
  drift::SegmentComparisons segments_;
  std::vector<drift::LensLimit> limits_;
};

}  // namespace

report::Report drift_compare(const DriftCompareOptions& options, Context& context) {
  check_sequence(options.sequence);
  check_prometheus(options.prometheus);
  report::Report report = Judgement(options, read_drift_sides(options, context)).judge();
  if (!options.prometheus.file.empty()) write_prometheus(report, options.prometheus);
  return report;
}

}  // namespace loraproof::commands
