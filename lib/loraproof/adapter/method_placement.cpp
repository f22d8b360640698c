// SPDX-License-Identifier: Apache-2.0
#include "loraproof/adapter/method_placement.h"

#include <algorithm>
#include <fmt/format.h>

#include "loraproof/adapter/keys.h"
#include "loraproof/adapter/method_shapes.h"
#include "loraproof/adapter/placement_hints.h"
#include "loraproof/adapter/placement_tensor.h"

namespace loraproof::adapter {
namespace {

// Of LoRA, or of some other method, or of nothing that PEFT knows.
bool is_of_a_method(const AdapterKey& key) {
  switch (key.part) {
    case Part::BaseWeight:
    case Part::BaseBias:
    case Part::Weight:
    case Part::Bias: return false;
    default: return true;
  }
}

}  // namespace

bool MethodPlacer::expect(const std::string& path, const BaseModule& module) {
  ExpectedTensors expected =
      expected_tensors(config_, module, matcher_.rank_of(path), matcher_.is_feedforward(path));
  if (!expected.problem.empty()) {
    findings_.add({"landing.missing_target", expected.problem, path,
                   "the configuration adapts a module that can't be: " + expected.problem,
                   "make target_modules narrower, or train with another method", true, 0, ""});
    return false;
  }
  for (auto& [part, shape] : expected.shapes) expected_[path][part] = std::move(shape);
  if (config_.method != Method::Vera) return true;
  // The projections serve all targets, and are as large as the largest needs.
  auto& shared = expected_[""];
  std::vector<std::int64_t>& a = shared[MethodPart::VeraA];
  std::vector<std::int64_t>& b = shared[MethodPart::VeraB];
  a = {config_.r, std::max(a.empty() ? 0 : a.back(), module.in)};
  b = {std::max(b.empty() ? 0 : b.front(), module.out), config_.r};
  return true;
}

void MethodPlacer::refuse(const io::TensorView& view, std::int64_t tensors, std::string kind,
                          std::string message, std::string hint) {
  findings_.add({"landing.unused_tensor", std::move(kind), view.name, std::move(message),
                 std::move(hint), true, tensors, "tensors"});
}

MethodPlacer::Place MethodPlacer::place(const io::TensorView& view, std::int64_t tensors) {
  const auto key = parse_method_key(view.name, config_.method);
  if (!key) {
    if (!is_of_a_method(parse_key(view.name))) return Place::NotOfAMethod;
    refuse(view, tensors, "method",
           fmt::format("peft_type is {}, and PEFT loads no tensor of this name for it",
                       name_of(config_.method)),
           "the file and adapter_config.json are not of one adapter, or the key was changed: save "
           "the adapter again");
    return Place::Refused;
  }
  const auto module = expected_.find(key->module);
  if (module == expected_.end() || !module->second.contains(key->part)) {
    const bool known = key->module.empty() || base_.contains(key->module);
    if (!known) {
      refuse(view, tensors, "module", fmt::format("the base has no module '{}'", key->module),
             nearest_module_hint(key->module, base_));
    } else if (module == expected_.end()) {
      refuse(view, tensors, "no target",
             "the configuration does not adapt this module, so PEFT does not load the tensor",
             "target_modules, exclude_modules or layers_to_transform differ from those of the "
             "training");
    } else {
      refuse(view, tensors, "other part",
             "the configuration gives this module other tensors, so PEFT does not load this one",
             "adapter_config.json differs from that of the training");
    }
    return Place::Refused;
  }
  const std::vector<std::int64_t>& shape = module->second.at(key->part);
  const bool fit = fits(key->part, shape, view.shape);
  if (auto problem = method_problem(view, fit ? view.shape : shape)) {
    unfit_.insert({key->module, key->part});
    findings_.add({problem->id, problem->kind, view.name, problem->message, problem->hint, true,
                   tensors, "tensors"});
    return Place::Refused;
  }
  placed_[key->module][key->part] = &view;
  return Place::Landed;
}

void MethodPlacer::require_all(std::int64_t targets) {
  for (const auto& [path, parts] : expected_) {
    std::vector<MethodPart> missing;
    for (const auto& [part, shape] : parts) {
      if (!placed_[path].contains(part) && !unfit_.contains({path, part})) missing.push_back(part);
    }
    if (missing.empty()) continue;
    const bool all = missing.size() == parts.size();
    const std::string key = method_key(path, missing.front());
    findings_.add(
        {all ? "landing.missing_target" : "landing.half_pair", "method", path.empty() ? key : path,
         fmt::format("the configuration asks for a tensor that the file lacks: '{}'", key),
         "PEFT would run with untrained values in its place; save the adapter again", true, targets,
         "targets"});
  }
}

void MethodPlacer::add_to(std::map<std::string, PlacedModule>& modules) const {
  const auto shared = placed_.find("");
  for (const auto& [path, parts] : placed_) {
    if (path.empty() || parts.size() != expected_.at(path).size()) continue;
    PlacedModule& placed = modules[path];
    placed.scale = matcher_.scale_of(path);
    placed.method = {config_.method, &config_.settings, matcher_.is_feedforward(path), parts};
    if (shared != placed_.end())
      placed.method->parts.insert(shared->second.begin(), shared->second.end());
  }
}

}  // namespace loraproof::adapter
