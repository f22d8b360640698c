// SPDX-License-Identifier: Apache-2.0
#include "loraproof/adapter/zero_effect.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "loraproof/adapter/finding_list.h"
#include "loraproof/adapter/gram.h"
#include "loraproof/adapter/method_shapes.h"
#include "loraproof/adapter/tensor_values.h"

namespace loraproof::adapter {
namespace {

/// Why the adapter does nothing, or "".
std::string zero_cause(const PlacedModule& module, double norm) {
  if (module.method) return idle_cause(module.method->method, module.method->parts, module.scale);
  if (norm > 0.0) return "";
  if (module.scale == 0.0) return "the scale is 0 (lora_alpha or alpha_pattern)";
  if (is_zero(*module.lora_b)) return "lora_B is all zero, as before the first training step";
  if (is_zero(*module.lora_a)) return "lora_A is all zero";
  return "the product of lora_B and lora_A is zero";
}

bool is_adapted(const PlacedModule& module) { return module.has_lora() || module.method; }

bool changes_otherwise(const PlacedModule& module) {
  const bool bias =
      module.lora_bias != nullptr && module.scale != 0.0 && !is_zero(*module.lora_bias);
  return bias || module.token_rows != nullptr || module.weight != nullptr || module.bias != nullptr;
}

// Of all experts together: A [E·R, I] has their ranks in turn, B [O, R·E] interleaved.
double experts_norm(const PlacedModule& module) {
  const std::int64_t experts = module.experts, all = module.lora_a->shape.front();
  const std::int64_t rank = all / experts, in = module.lora_a->shape.back();
  const std::vector<double> a = values_of(*module.lora_a);
  const std::vector<double> b = transposed(values_of(*module.lora_b), module.lora_b->shape.front());
  const std::int64_t out = module.lora_b->shape.front();
  std::vector<double> of_one(static_cast<std::size_t>(rank * out));
  double norm2 = 0;
  for (std::int64_t e = 0; e < experts; ++e) {
    for (std::int64_t k = 0; k < rank; ++k)
      std::copy_n(b.begin() + (k * experts + e) * out, out, of_one.begin() + k * out);
    norm2 += product_norm2(std::span(a).subspan(static_cast<std::size_t>(e * rank * in),
                                                static_cast<std::size_t>(rank * in)),
                           of_one, rank);
  }
  return std::abs(module.scale) * std::sqrt(norm2);
}

}  // namespace

double delta_norm(const PlacedModule& module) {
  if (!module.has_lora()) return 0.0;
  if (module.experts > 0) return experts_norm(module);
  const std::int64_t rank = module.lora_a->shape.front();
  const std::vector<double> a = values_of(*module.lora_a);  // [R, I]
  const std::vector<double> b = values_of(*module.lora_b);  // [O, R]
  return std::abs(module.scale) *
         std::sqrt(product_norm2(a, transposed(b, module.lora_b->shape.front()), rank));
}

DeltaNorms delta_norms(const std::map<std::string, PlacedModule>& modules,
                       const io::SafetensorsFile* file) {
  DeltaNorms norms;
  for (const auto& [path, module] : modules) {
    if (!module.has_lora()) continue;
    norms[path] = delta_norm(module);
    if (file == nullptr) continue;
    for (const io::TensorView* view : {module.lora_a, module.lora_b})
      file->file().done_with(view->bytes);
  }
  return norms;
}

std::vector<Finding> find_zero_effect(const std::map<std::string, PlacedModule>& modules,
                                      const DeltaNorms& norms) {
  FindingList findings;
  std::int64_t adapted = 0;
  std::int64_t dead = 0;
  bool others_act = false;
  std::string first_cause;
  for (const auto& [path, module] : modules) {
    adapted += is_adapted(module) ? 1 : 0;
    others_act = others_act || changes_otherwise(module);
  }
  for (const auto& [path, module] : modules) {
    if (!is_adapted(module) || changes_otherwise(module)) continue;
    const std::string cause = zero_cause(module, module.has_lora() ? norms.at(path) : 0);
    if (cause.empty()) continue;
    ++dead;
    if (first_cause.empty()) first_cause = cause;
    const char* hint = module.magnitude != nullptr
                           ? "only DoRA's magnitude acts here; was the right checkpoint saved?"
                           : "was the right checkpoint saved, and was this module trained?";
    findings.add({"effect.zero_module", cause, path,
                  fmt::format("the adapter changes nothing in this module: {}", cause), hint, true,
                  adapted, "modules"});
  }
  if (adapted == 0 && !others_act) {
    return {{"effect.zero_adapter", "adapter", "the adapter holds nothing that changes the base",
             "check the landing findings"}};
  }
  if (dead > 0 && dead == adapted && !others_act) {
    return {{"effect.zero_adapter", "adapter",
             fmt::format("the adapter changes nothing: in all {} modules {}", dead, first_cause),
             "was the adapter saved before training, or with another adapter active?", true, dead,
             adapted}};
  }
  return findings.finish();
}

}  // namespace loraproof::adapter
