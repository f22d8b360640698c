// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/prompt_rows.h"

#include "loraproof/core/json.h"
#include "loraproof/core/json_number.h"

namespace loraproof::commands {
namespace {

Json divergence_json(const golden::Divergence& divergence, const TextInput& text) {
  const auto token = [&](std::int32_t id) {
    return text.tokenizer ? text.tokenizer->id_to_token(id).value_or(std::to_string(id))
                          : std::to_string(id);
  };
  return {{"position", divergence.position},
          {"reference_token", token(divergence.expected_id)},
          {"token", token(divergence.found_id)},
          {"margin", divergence.margin}};
}

void add_outcome(Json& row, const std::optional<ExpectedOutcome>& outcome) {
  if (!outcome) return;
  row["expected_met"] = outcome->right_now;
  row["expected_met_when_recorded"] = outcome->right_then;
  const std::string flip = flip_name(outcome);
  row["flip"] = flip.empty() ? Json(nullptr) : Json(flip);
}

void add_figures(Json& row, const golden::PromptDiff& diff) {
  row["kl_prompt"] = number_or_null(diff.kl_prompt);
  row["kl_answer"] = number_or_null(diff.kl_answer);
  row["kl_answer_max"] = diff.kl_answer_max;
  row["nll"] = diff.nll;
  row["nll_reference"] = diff.nll_reference;
  if (diff.expected_nll_reference) {
    row["expected_nll"] = number_or_null(diff.expected_nll);
    row["expected_nll_reference"] = number_or_null(diff.expected_nll_reference);
  }
  row["cosine_last"] = diff.cosine_last;
  row["cosine_mean"] = diff.cosine_mean;
  row["cosine_answer"] = diff.cosine_answer;
  row["l2_last"] = diff.l2_last;
  row["same_prompt_ids"] = diff.same_prompt;
}

}  // namespace

void add_prompt_rows(Json& prompts, const golden::Suite& suite, const TextInput& text,
                     const golden::GoldenDiff& diff, const LaneTexts& texts) {
  for (std::size_t i = 0; i < suite.prompts.size(); ++i) {
    const golden::GoldenPrompt& prompt = suite.prompts[i];
    const golden::PromptDiff& figures = diff.prompts[i];
    Json row{{"id", prompt.id}, {"adapter", texts.lane}};
    if (!prompt.slice.empty()) row["slice"] = prompt.slice;
    row["diverged"] = figures.divergence.has_value();
    row["ties"] = figures.ties;
    row["answer_tokens"] = figures.answer_tokens;
    row["token_disagreements"] = figures.disagreements;
    row["first_divergence"] =
        figures.divergence ? divergence_json(*figures.divergence, text) : Json(nullptr);
    if (figures.divergence) row["reference_text"] = texts.then[i];
    row["text"] = texts.now[i];
    add_outcome(row, texts.outcomes[i]);
    add_figures(row, figures);
    prompts.push_back(std::move(row));
  }
}

}  // namespace loraproof::commands
