// SPDX-License-Identifier: Apache-2.0
// The lanes of a quantcheck: the reference, the base alone, and for each scheme the base alone and
// every order of quantising and merging.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "loraproof/candidate/weight_source.h"
#include "loraproof/commands/golden_job.h"
#include "loraproof/commands/quantcheck.h"
#include "loraproof/deploy/candidate_weights.h"
#include "loraproof/deploy/deployment.h"
#include "loraproof/deploy/layer_inputs.h"
#include "loraproof/engine/lane.h"
#include "loraproof/golden/lane_divergence.h"
#include "loraproof/quant/scheme.h"

namespace loraproof::commands {

struct QuantLane {
  const quant::Scheme* scheme = nullptr;  ///< null: none (C)
  std::string candidate = {};             ///< name of the real checkpoint, instead of a scheme; ""
  std::optional<deploy::Order> order = {};  ///< nothing: the base alone
  engine::Lane lane = {};
  const deploy::RecordedVariant* deployment = nullptr;  ///< null: weights as stored
  const deploy::Deployment* simulated = nullptr;        ///< the same; null for a candidate
  std::size_t against = 0;     ///< place of the lane that it is compared with
  std::size_t base_alone = 0;  ///< place of the same scheme's lane without the adapter; 0: none

  /// "nf4 A", "C", "nf4 base".
  [[nodiscard]] std::string name() const;
  /// "nf4", or "16 bit".
  [[nodiscard]] std::string scheme_name() const;
};

/// A real quantised checkpoint.
struct CandidateInput {
  std::string name;  ///< of its file or folder
  std::shared_ptr<const candidate::WeightSource> source;
  bool merged = false;  ///< the adapter is in it
};

struct QuantLaneOptions {
  std::vector<const quant::Scheme*> schemes;
  std::vector<deploy::Order> orders;
  const quant::Scheme* trained_on = nullptr;
  std::optional<AdapterType> adapter_dtype;  ///< nothing: as it is
  std::vector<std::string> keep;             ///< modules in 16 bit beside the library's own
  std::vector<std::string>
      quantise;  ///< modules that are quantised although the library leaves them
  std::vector<CandidateInput> candidates;
};

/// Places of the reference and of the base without the adapter.
inline constexpr std::size_t kReferenceLane = 0;
inline constexpr std::size_t kBaseLane = 1;

class QuantLanes {
 public:
  /// The job's first adapter. `job` must outlive the lanes.
  QuantLanes(const GoldenJob& job, const QuantLaneOptions& options);

  [[nodiscard]] const std::deque<QuantLane>& lanes() const { return lanes_; }
  [[nodiscard]] std::vector<golden::ComparedLane> compared() const;
  /// The first sweep is over: what the reference's layers get to see is known.
  void stop_looking() { inputs_->stop(); }

 private:
  deploy::Deployment* make(deploy::Order order, const quant::Scheme* scheme);
  /// With the options' modules in 16 bit, and those that are not.
  deploy::Deployment* make_as_asked(deploy::Order order, const quant::Scheme& scheme);
  deploy::Deployment* make(deploy::DeploymentOptions options);
  void add_scheme(const quant::Scheme& scheme, const std::vector<deploy::Order>& orders);
  void add_order(deploy::Order order, const quant::Scheme* scheme,
                 const deploy::Deployment* deployment, std::size_t base_alone);
  void add_candidate(const CandidateInput& candidate);
  /// `beside`: what of the adapter is applied beside the weights.
  void add(QuantLane lane, const adapter::PatchSet& beside);

  const GoldenJob& job_;
  QuantLaneOptions options_;
  adapter::PatchSet patches_;  // of the adapter as it is
  adapter::PatchSet cast_;     // as a server casts it
  std::deque<deploy::Deployment> deployments_;
  std::optional<deploy::LayerInputs> inputs_;  // of the reference
  std::deque<deploy::CandidateWeights> candidates_;
  std::deque<QuantLane> lanes_;
};

/// The base's type of weights in the checkpoint.
[[nodiscard]] at::ScalarType stored_type(const io::Checkpoint& base);

}  // namespace loraproof::commands
