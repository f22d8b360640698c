// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/merge_measures.h"

#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "loraproof/core/json.h"
#include "loraproof/report/numbers.h"

namespace loraproof::commands {
namespace {

using report::format_number;
using report::Outcome;

struct Totals {
  merge::MergeSums all;
  const merge::TensorResult* worst = nullptr;  // where least of the change survives
};

Totals totals_of(const std::vector<merge::FileResult>& files) {
  Totals totals;
  for (const merge::FileResult& file : files) {
    for (const merge::TensorResult& tensor : file.touched) {
      totals.all += tensor.sums;
      const bool smaller =
          totals.worst == nullptr || tensor.sums.survival() < totals.worst->sums.survival();
      if (tensor.sums.intended2 > 0 && smaller) totals.worst = &tensor;
    }
  }
  return totals;
}

report::Measure survival_measure(const Totals& totals) {
  report::Measure measure{.id = "merge.survival"};
  if (totals.worst == nullptr) {
    measure.outcome = Outcome::Skipped;
    measure.message = "no weight was changed by a delta";
    return measure;
  }
  measure.value = totals.all.survival();
  measure.n = totals.all.elements;
  measure.message =
      fmt::format("rounding leaves {} of the change, with noise of {} of it; least in {} ({})",
                  format_number(totals.all.survival()), format_number(totals.all.noise()),
                  totals.worst->module, format_number(totals.worst->sums.survival()));
  measure.hint =
      "the change is smaller than the steps of this type: --dtype fp32 or fp16 keeps it, or serve "
      "the adapter unmerged";
  return measure;
}

report::Measure finite_measure(const Totals& totals) {
  const std::int64_t bad = totals.all.non_finite;
  return {.id = "merge.finite",
          .value = static_cast<double>(bad),
          .n = totals.all.elements,
          .message = fmt::format("{} elements are NaN or out of the type's range", bad),
          .hint = "choose a wider type (--dtype bf16 or fp32); nothing was written",
          .outcome = bad == 0 ? Outcome::Pass : Outcome::Fail};
}

report::Measure rounding_measure(const Totals& totals) {
  return {
      .id = "merge.rounding",
      .n = totals.all.elements,
      .message = fmt::format("{} of {} elements have another value than in the base; {} were so "
                             "near a tie that they were computed in 128 bit",
                             totals.all.changed, totals.all.elements, totals.all.undecided),
      .outcome = Outcome::Pass};
}

}  // namespace

Measures merge_measures(const std::vector<merge::FileResult>& files) {
  const Totals totals = totals_of(files);
  return {survival_measure(totals), finite_measure(totals), rounding_measure(totals)};
}

report::Measure plan_measure(const merge::MergePlan& plan, double seconds, int threads) {
  std::size_t tensors = 0;
  for (const merge::PlannedFile& file : plan.files) tensors += file.tensors.size();
  return {
      .id = "merge.plan",
      .value = seconds,
      .message = fmt::format(
          "{} files with {:.2f} GB would be written; the adapters change {} of {} tensors. About "
          "{} s of computing on {} threads, beside the disk's time for reading and writing",
          plan.files.size(), static_cast<double>(plan.output_bytes) / 1e9, plan.touched, tensors,
          format_number(seconds), threads),
      .outcome = Outcome::Pass};
}

report::Measure base_scheme_measure(const std::vector<merge::FileResult>& files,
                                    const std::string& scheme) {
  const Totals totals = totals_of(files);
  const double ratio =
      totals.all.intended2 > 0 ? std::sqrt(totals.all.scheme2 / totals.all.intended2) : 0;
  return {.id = "merge.base_scheme",
          .value = ratio,
          .n = totals.all.elements,
          .message = fmt::format("the base is what {} makes of it, as in training: that moves the "
                                 "changed weights by {} times the adapters' change, which a merge "
                                 "onto the 16-bit base would have left uncorrected",
                                 scheme, format_number(ratio)),
          .outcome = Outcome::Pass};
}

report::Measure read_back_measure(const merge::ReadBack& proof) {
  report::Measure measure{.id = "merge.read_back",
                          .n = proof.elements,
                          .outcome = proof.holds() ? Outcome::Pass : Outcome::Fail};
  measure.message = fmt::format(
      "read back from the disk: {} tensors are the base's bytes; of {} recomputed ones "
      "({} elements) the worst is {:.4f} units in the last place from W + D",
      proof.untouched, proof.touched, proof.elements, proof.worst_ulp);
  if (proof.holds()) return measure;
  measure.subject = proof.first_difference;
  measure.message = fmt::format("read back from the disk, {}; {} elements are not rounded once",
                                proof.first_difference, proof.misrounded);
  measure.hint = "nothing was written; check disk and memory of this machine, then merge again";
  return measure;
}

Json read_back_metrics(const merge::ReadBack& proof) {
  return {{"untouched", proof.untouched},
          {"recomputed", proof.touched},
          {"elements", proof.elements},
          {"misrounded", proof.misrounded},
          {"worst_ulp", proof.worst_ulp}};
}

Measures plan_measures(const merge::MergePlan& plan) {
  Measures measures;
  for (const merge::ForeignBase& foreign : plan.foreign) {
    measures.push_back(
        {.id = "merge.wrong_base",
         .subject = foreign.module,
         .value = static_cast<double>(foreign.differing),
         .n = foreign.elements,
         .message =
             fmt::format("the adapter {} holds this weight as it was in training, and {} of {} "
                         "elements are not the base's",
                         foreign.adapter, foreign.differing, foreign.elements),
         .hint = "merge into the base that it was trained on; if the weight was trained as well, "
                 "--set merge.wrong_base.severity=info",
         .outcome = Outcome::Fail});
  }
  if (plan.foreign.empty())
    measures.push_back({.id = "merge.wrong_base",
                        .message = "no saved weight contradicts the base",
                        .outcome = Outcome::Pass});
  if (plan.untied_head.empty()) return measures;
  measures.push_back(
      {.id = "merge.untied_head",
       .subject = plan.untied_head,
       .message = "the base ties its head to the embedding and the adapters change one of them: "
                  "the output has both, and says tie_word_embeddings = false",
       .outcome = Outcome::Pass});
  return measures;
}

Measures side_file_measures(const merge::SideFiles& files) {
  if (files.left_out.empty()) return {};
  return {{.id = "merge.left_out",
           .message = fmt::format("not copied: {}", fmt::join(files.left_out, ", ")),
           .outcome = Outcome::Pass}};
}

Json module_metrics(const std::vector<merge::FileResult>& files) {
  Json rows = Json::array();
  for (const merge::FileResult& file : files) {
    for (const merge::TensorResult& tensor : file.touched) {
      const merge::MergeSums& sums = tensor.sums;
      rows.push_back({{"tensor", tensor.name},
                      {"module", tensor.module},
                      {"elements", sums.elements},
                      {"changed", sums.changed},
                      {"undecided", sums.undecided},
                      {"non_finite", sums.non_finite},
                      {"survival", sums.survival()},
                      {"noise", sums.noise()},
                      {"delta_norm", std::sqrt(sums.intended2)},
                      {"base_norm", std::sqrt(sums.base2)}});
    }
  }
  return rows;
}

Json plan_metrics(const merge::MergePlan& plan) {
  Json touched = Json::array();
  std::int64_t tensors = 0;
  for (const merge::PlannedFile& file : plan.files) {
    tensors += static_cast<std::int64_t>(file.tensors.size());
    for (const merge::PlannedTensor& tensor : file.tensors) {
      if (tensor.is_touched()) touched.push_back(tensor.spec.name);
    }
  }
  return {{"files", plan.files.size()},
          {"tensors", tensors},
          {"touched", std::move(touched)},
          {"dequantised", plan.dequantised},
          {"output_bytes", plan.output_bytes},
          {"untied_head", plan.untied_head.empty() ? Json(nullptr) : Json(plan.untied_head)}};
}

std::string merged_model_card(const std::string& base, const std::vector<AdapterInput>& adapters) {
  std::string lines;
  bool lora = false;
  for (const AdapterInput& adapter : adapters) {
    if (adapter.config.method != adapter::Method::Lora) {
      lines += fmt::format("- {}: {}\n", adapter.name, name_of(adapter.config.method));
      continue;
    }
    lora = true;
    lines += fmt::format("- {}: rank {}, alpha {}{}{}\n", adapter.name, adapter.config.r,
                         format_number(adapter.config.lora_alpha),
                         adapter.config.use_rslora ? ", rsLoRA" : "",
                         adapter.config.use_dora ? ", DoRA" : "");
  }
  const std::string& recorded = adapters.front().config.base_model_name_or_path;
  return fmt::format(
      "---\nbase_model: {}\nbase_model_relation: merge\ntags:\n{}- merge\n---\n"
      "{} merged into {} by loraproof; merge.json has the digests.\n\n{}",
      Json(recorded.empty() ? base : recorded).dump(), lora ? "- lora\n" : "",
      lora ? "LoRA adapters" : "Adapters", base, lines);
}

}  // namespace loraproof::commands
