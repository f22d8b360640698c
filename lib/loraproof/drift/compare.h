// SPDX-License-Identifier: Apache-2.0
// Two profiles side by side: what each lens says about them, and by how much they differ. Facts
// only: limits and verdicts belong to the gate (commands/drift_compare). Which test stands behind a
// lens is on docs/drift.md; the tests themselves are in stats.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "loraproof/drift/profile.h"
#include "loraproof/stats/share_divergence.h"
#include "loraproof/stats/vocabulary_divergence.h"

namespace loraproof::drift {

struct CompareOptions {
  double level = 0.05;          ///< of this window, all its lenses together
  std::int64_t min_units = 30;  ///< a lens with fewer units on a side tests nothing
};

/// One look at both profiles.
struct LensShift {
  std::string id;                ///< "document_frequency", "length", "script"
  std::string subject;           ///< "tokens", "latin", a feature's name; may be empty
  std::int64_t reference_n = 0;  ///< units that the lens has a value for
  std::int64_t window_n = 0;
  /// nullopt: not tested, and `reason` says why.
  std::optional<double> p;
  double adjusted_p = 1;  ///< Holm over the lenses that were tested
  /// How much moved, at least 0; what it is the size of depends on the lens.
  double effect = 0;
  /// Signed, where a lens has a direction (window minus reference): 0 if not.
  double difference = 0;
  std::optional<double> reference;  ///< the lens's own figure on either side
  std::optional<double> window;
  std::string test;    ///< "Fisher scan", "score z"
  std::string detail;  ///< for people
  std::string reason;
  bool one_sided = false;  ///< not tested because one side alone has too few units

  [[nodiscard]] std::int64_t smaller_n() const {
    return reference_n < window_n ? reference_n : window_n;
  }
};

/// A token, bigram cell or value whose share of prompts moved.
struct Contribution {
  std::int32_t id = 0;
  double reference = 0;  ///< share of the units that hold it
  double window = 0;
  double difference = 0;
  double p = 1;
  double q = 1;
};

struct ScanSummary {
  std::size_t tested = 0;
  std::size_t discoveries = 0;
  std::size_t risen = 0;  ///< discoveries with more prompts than before
  double changed_share = 0;
  std::vector<Contribution> tokens;  ///< discoveries, the largest |difference| first
};

struct FeatureNumbers {
  std::string name;
  std::size_t categories = 0;
  std::optional<stats::GroupDivergence> shares;
};

struct Comparison {
  std::int64_t reference_units = 0;
  std::int64_t window_units = 0;
  std::vector<LensShift> lenses;
  ScanSummary tokens;
  ScanSummary bigrams;
  std::optional<stats::GroupDivergence> groups;           ///< on the map's groups of tokens
  std::optional<stats::VocabularyDivergence> vocabulary;  ///< nullopt: empty or sealed
  std::optional<double> reference_entropy;                ///< nats per token
  std::optional<double> window_entropy;
  std::vector<FeatureNumbers> features;
  std::optional<double> sketch_z;  ///< of stats::SketchTest, for the sum over windows

  [[nodiscard]] const LensShift* find(std::string_view id, std::string_view subject = "") const;
};

/// Input Error when the fingerprints differ (it names the first part that does), or the features,
/// or the fields of segments.
void expect_comparable(const Profile& reference, const Profile& window);

/// All units of both, segments apart. Errors as expect_comparable.
[[nodiscard]] Comparison compare(const Profile& reference, const Profile& window,
                                 const CompareOptions& options);

/// Counts that were made alike: of the same fingerprint (whose side is `side`) and features.
[[nodiscard]] Comparison compare_counts(const Counts& reference, const Counts& window, Side side,
                                        const CompareOptions& options);

/// Holm over all lenses of all these together, instead of those of each.
void adjust_together(std::vector<Comparison*> comparisons);

}  // namespace loraproof::drift
