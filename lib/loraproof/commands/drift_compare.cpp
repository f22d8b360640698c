// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/drift_compare.h"

#include <fstream>
#include <optional>
#include <utility>

#include "loraproof/commands/drift_log.h"
#include "loraproof/drift/profile_file.h"
#include "loraproof/report/gate.h"
#include "loraproof/stats/multiple_testing.h"

namespace loraproof::commands {
namespace {

struct Side {
  drift::Profile profile;
  std::optional<report::Measure> malformed;  ///< of a log
};

bool is_stored(const std::string& path) {
  if (path == "-") return false;
  std::string beginning(64, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(beginning.data(), static_cast<std::streamsize>(beginning.size()));
  beginning.resize(static_cast<std::size_t>(file.gcount()));
  return drift::looks_stored(beginning);
}

class Loader {
 public:
  Loader(const DriftCompareOptions& options, Context& context)
      : options_(options), context_(context) {
    if (!options.log.tokenizer.empty()) encoder_.emplace(options.log.tokenizer);
  }

  Side reference() {
    if (is_stored(options_.reference)) return {drift::read_profile(options_.reference), {}};
    const DriftLogOptions log = log_of(options_.reference);
    const drift::RunOptions run = run_of(log);
    expect_readable_twice(log);
    drift::RunNotes notes;
    const drift::Map map = drift::make_map(run, encoder(options_.reference), key(),
                                           drift::Holdout::Place, context_.progress, notes);
    return profiled(run, map, true, "reference");
  }

  Side window(const drift::Profile& reference) {
    if (is_stored(options_.window)) return {drift::read_profile(options_.window), {}};
    if (reference.seal) {
      throw input_error({.message = "a sealed reference holds no map to profile this log with",
                         .file = options_.window,
                         .hint = "profile it first: loraproof drift profile LOG --map MAP"});
    }
    return profiled(run_of(log_of(options_.window)), reference.map, false, "window");
  }

  /// nullptr without --tokenizer.
  [[nodiscard]] const drift::Encoder* given_encoder() const {
    return encoder_ ? &*encoder_ : nullptr;
  }

 private:
  DriftLogOptions log_of(const std::string& path) const {
    DriftLogOptions log = options_.log;
    log.inputs = {path};
    return log;
  }

  const drift::Encoder& encoder(const std::string& path) const {
    if (encoder_) return *encoder_;
    throw usage_error({.message = "this is no profile, and to profile a log takes a tokenizer",
                       .where = path,
                       .hint = "--tokenizer DIR"});
  }

  [[nodiscard]] drift::Key key() const { return key_of(options_.log.key); }

  Side profiled(const drift::RunOptions& run, const drift::Map& map, bool leave_out,
                const char* name) {
    drift::RunNotes notes;
    Side side{drift::make_profile(run, encoder(run.inputs.front()), key(), map, leave_out,
                                  context_.progress, notes),
              {}};
    expect_usable(side.profile, notes);
    side.malformed = malformed_measure(notes, run.inputs);
    side.malformed->subject = name;
    return side;
  }

  const DriftCompareOptions& options_;
  Context& context_;
  std::optional<drift::Encoder> encoder_;
};

void expect_log_for_flags(const DriftCompareOptions& options) {
  if (options.log_flags.empty() || !is_stored(options.reference) || !is_stored(options.window))
    return;
  throw usage_error({.message = "both sides are profiles, so no log is read",
                     .where = options.log_flags.front(),
                     .hint = "pass it where the log is profiled: loraproof drift profile"});
}

void expect_same_tokenizer(const drift::Encoder* encoder, const drift::Profile& profile) {
  if (encoder == nullptr || encoder->digest == profile.fingerprint.tokenizer) return;
  throw input_error({.message = "the profiles were made with another tokenizer",
                     .file = encoder->file.string(),
                     .expected = profile.fingerprint.tokenizer,
                     .found = encoder->digest});
}

}  // namespace

report::Report drift_compare(const DriftCompareOptions& options, Context& context) {
  const report::Policy policy = load_policy(options.policy, Json::object(), "");
  const double alpha = policy.number("drift.alpha");
  const drift::CompareOptions rules{
      .level = options.number ? stats::window_level(alpha, *options.number) : alpha,
      .min_units = policy.check("drift.prompts").min_n};
  expect_log_for_flags(options);
  Loader loader(options, context);
  const Side reference = loader.reference();
  const Side window = loader.window(reference.profile);
  const drift::Comparison comparison = drift::compare(reference.profile, window.profile, rules);
  const drift::Encoder* encoder = loader.given_encoder();
  expect_same_tokenizer(encoder, reference.profile);

  report::Report report = report_of("drift compare");
  report.inputs = {{"reference", options.reference, ""}, {"window", options.window, ""}};
  if (encoder != nullptr)
    report.inputs.push_back({"tokenizer", encoder->file.string(), encoder->digest});
  report.metrics["reference"] = metrics_of(reference.profile);
  report.metrics["window"] = metrics_of(window.profile);
  report.metrics["drift"] = drift_metrics(comparison);
  report.metrics["drift"]["level"] = rules.level;
  report.metrics["drift"]["window_number"] = options.number ? Json(*options.number) : Json(nullptr);
  report.metrics["contributions"] =
      drift_contributions(comparison, encoder != nullptr ? &encoder->tokenizer : nullptr,
                          static_cast<std::size_t>(policy.integer("drift.contributions")));
  std::vector<report::Measure> measures = drift_measures(comparison, rules);
  for (const Side* side : {&reference, &window}) {
    if (side->malformed) measures.push_back(*side->malformed);
  }
  report.checks = report::gate(measures, policy);
  return report;
}

}  // namespace loraproof::commands
