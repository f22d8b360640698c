// SPDX-License-Identifier: Apache-2.0
// A comparison for programs: report.metrics.
#include <optional>
#include <string>

#include "loraproof/commands/drift_measures.h"
#include "loraproof/core/json.h"
#include "loraproof/core/json_number.h"

namespace loraproof::commands {
namespace {

const char* direction_of(double difference) {
  return difference > 0 ? "up" : difference < 0 ? "down" : "none";
}

Json to_json(const drift::LensShift& lens) {
  return {{"id", "drift." + lens.id},
          {"subject", lens.subject},
          {"p", number_or_null(lens.p)},
          {"adjusted_p", lens.p ? number_or_null(lens.adjusted_p) : Json(nullptr)},
          {"effect", lens.p ? number_or_null(lens.effect) : Json(nullptr)},
          {"direction", lens.p ? Json(direction_of(lens.difference)) : Json(nullptr)},
          {"difference", lens.p ? number_or_null(lens.difference) : Json(nullptr)},
          {"reference", number_or_null(lens.reference)},
          {"window", number_or_null(lens.window)},
          {"reference_n", lens.reference_n},
          {"window_n", lens.window_n},
          {"test", lens.test.empty() ? Json(nullptr) : Json(lens.test)},
          {"not_tested", lens.reason.empty() ? Json(nullptr) : Json(lens.reason)}};
}

Json to_json(const drift::ScanSummary& scan) {
  return {{"tested", scan.tested},
          {"discoveries", scan.discoveries},
          {"in_more_prompts", scan.risen},
          {"in_fewer_prompts", scan.discoveries - scan.risen},
          {"changed_share_at_least", number_or_null(scan.changed_share)}};
}

Json to_json(const stats::GroupDivergence& groups) {
  Json json = {{"psi", number_or_null(groups.plain.psi)},
               {"kl_reference_window", number_or_null(groups.plain.kl_reference_window)},
               {"kl_window_reference", number_or_null(groups.plain.kl_window_reference)},
               {"js_distance", number_or_null(groups.plain.js_distance)},
               {"total_variation", number_or_null(groups.plain.total_variation)},
               {"hellinger", number_or_null(groups.plain.hellinger)},
               {"debiased", nullptr}};
  if (const auto& value = groups.debiased) {
    json["debiased"] = {{"psi", number_or_null(value->psi)},
                        {"psi_standard_error", number_or_null(value->psi_standard_error)},
                        {"kl_reference_window", number_or_null(value->kl_reference_window)},
                        {"kl_window_reference", number_or_null(value->kl_window_reference)},
                        {"kl_standard_error", number_or_null(value->kl_standard_error)},
                        {"no_drift_psi", number_or_null(value->no_drift_psi)}};
  }
  return json;
}

}  // namespace

Json drift_metrics(const drift::Comparison& comparison) {
  Json json = {{"lenses", Json::array()},
               {"tokens", to_json(comparison.tokens)},
               {"bigram_cells", to_json(comparison.bigrams)},
               {"groups", comparison.groups ? to_json(*comparison.groups) : Json(nullptr)},
               {"vocabulary_not_a_test", nullptr},
               {"entropy",
                {{"reference", number_or_null(comparison.reference_entropy)},
                 {"window", number_or_null(comparison.window_entropy)}}},
               {"features", Json::array()}};
  for (const drift::LensShift& lens : comparison.lenses) json["lenses"].push_back(to_json(lens));
  if (const auto& numbers = comparison.vocabulary) {
    json["vocabulary_not_a_test"] = {{"tokens", numbers->tokens},
                                     {"psi", number_or_null(numbers->psi)},
                                     {"no_drift_psi", number_or_null(numbers->no_drift_psi)},
                                     {"kl", number_or_null(numbers->kl)},
                                     {"no_drift_kl", number_or_null(numbers->no_drift_kl)}};
  }
  for (const drift::FeatureNumbers& feature : comparison.features) {
    json["features"].push_back(
        {{"name", feature.name},
         {"categories", feature.categories},
         {"divergence", feature.shares ? to_json(*feature.shares) : Json(nullptr)}});
  }
  return json;
}

Json calibration_metrics(const std::vector<drift::LensLimit>& limits) {
  Json rows = Json::array();
  for (const drift::LensLimit& limit : limits) {
    rows.push_back({{"id", "drift." + limit.id},
                    {"subject", limit.subject},
                    {"windows", limit.windows},
                    {"mean", number_or_null(limit.mean)},
                    {"standard_deviation", number_or_null(limit.standard_deviation)},
                    {"largest", number_or_null(limit.largest)},
                    {"limit", number_or_null(limit.limit)}});
  }
  return rows;
}

Json drift_contributions(const drift::Comparison& comparison, const text::Tokenizer* tokenizer,
                         std::size_t most) {
  Json rows = Json::array();
  for (const drift::Contribution& token : comparison.tokens.tokens) {
    if (rows.size() == most) break;
    Json row = {{"id", token.id}, {"text", nullptr}};
    if (tokenizer != nullptr) {
      const std::int32_t ids[] = {token.id};
      std::string text = tokenizer->decode(ids, false);
      // Bytes that are no character by themselves: the token's own spelling tells them apart.
      if (text.empty() || text.find("\xEF\xBF\xBD") != text.npos)
        text = tokenizer->id_to_token(token.id).value_or(text);
      row["text"] = text;
    }
    row["reference_share"] = number_or_null(token.reference);
    row["window_share"] = number_or_null(token.window);
    row["difference"] = number_or_null(token.difference);
    row["q"] = number_or_null(token.q);
    row["direction"] = direction_of(token.difference);
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace loraproof::commands
