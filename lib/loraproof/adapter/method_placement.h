// SPDX-License-Identifier: Apache-2.0
// Places the tensors of methods other than LoRA; placement.h does the rest, which is the same for
// all methods: targets, whole weights and biases. Internal to adapter/.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "loraproof/adapter/finding_list.h"
#include "loraproof/adapter/placement.h"
#include "loraproof/adapter/target_match.h"

namespace loraproof::adapter {

class MethodPlacer {
 public:
  /// Keeps references to all of them. Findings go to `findings`.
  MethodPlacer(const AdapterConfig& config, const BaseModules& base, const TargetMatcher& matcher,
               FindingList& findings)
      : config_(config), base_(base), matcher_(matcher), findings_(findings) {}

  /// Notes which tensors the method has for this target; false where it can't adapt it.
  bool expect(const std::string& path, const BaseModule& module);

  enum class Place { Landed, Refused, NotOfAMethod };
  /// After all targets are known. Whole weights and biases are NotOfAMethod.
  Place place(const io::TensorView& view, std::int64_t tensors);

  /// After all tensors: findings for those that the targets lack.
  void require_all(std::int64_t targets);
  /// Adds the modules that have all their tensors.
  void add_to(std::map<std::string, PlacedModule>& modules) const;

 private:
  void refuse(const io::TensorView& view, std::int64_t tensors, std::string kind,
              std::string message, std::string hint);

  const AdapterConfig& config_;
  const BaseModules& base_;
  const TargetMatcher& matcher_;
  FindingList& findings_;
  // By path; "" for what serves all modules.
  std::map<std::string, std::map<MethodPart, std::vector<std::int64_t>>> expected_;
  std::map<std::string, std::map<MethodPart, const io::TensorView*>> placed_;
  std::set<std::pair<std::string, MethodPart>> unfit_;  // there, but not as they should be
};

}  // namespace loraproof::adapter
