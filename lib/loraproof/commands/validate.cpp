// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/validate.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>

#include "loraproof/commands/golden_job.h"
#include "loraproof/commands/run_figures.h"
#include "loraproof/engine/decode.h"
#include "loraproof/golden/compare.h"
#include "loraproof/golden/observe.h"
#include "loraproof/report/gate.h"

namespace loraproof::commands {
namespace {

// The recorded prompts must be today's prompts: a changed suite needs a new reference, and
// comparing across would be meaningless.
void expect_same_suite(const golden::Suite& suite, const golden::Reference& reference,
                       const std::filesystem::path& folder) {
  if (suite.digest == reference.suite_digest) return;
  throw input_error(
      {.message = "the suite's prompts have changed since this reference was recorded",
       .file = folder.string(),
       .expected = reference.suite_digest,
       .found = suite.digest,
       .hint = "record it again with a base and adapter known to be good: loraproof validate "
               "--record --force"});
}

// What each diverged prompt says now: the recorded answer up to the first difference, the token
// that is preferred now, and from there greedy decoding.
std::vector<std::vector<std::int32_t>> answers_now(engine::LayerStore& store,
                                                   const engine::Lane& lane,
                                                   const golden::Reference& reference,
                                                   const std::vector<golden::Sequence>& sequences,
                                                   const golden::GoldenDiff& diff,
                                                   Progress& progress) {
  std::vector<std::vector<std::int32_t>> answers;
  std::vector<engine::DecodeRequest> requests;
  std::vector<std::size_t> diverged;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    std::vector<std::int32_t> answer = sequences[i].answer_ids;
    if (const auto& divergence = diff.prompts[i].divergence) {
      answer.resize(static_cast<std::size_t>(divergence->position));
      answer.push_back(divergence->found_id);
      const bool stops =
          std::ranges::find(reference.stop_ids, divergence->found_id) != reference.stop_ids.end();
      const std::int64_t left = reference.max_new_tokens - static_cast<std::int64_t>(answer.size());
      if (!stops && left > 0) {
        requests.push_back({golden::Sequence{sequences[i].prompt_ids, answer}.tokens(), left});
        diverged.push_back(i);
      }
    }
    answers.push_back(std::move(answer));
  }
  if (requests.empty()) return answers;
  const auto continuations =
      engine::greedy_decode(store, lane, requests, reference.stop_ids, progress);
  for (std::size_t i = 0; i < diverged.size(); ++i) {
    auto& answer = answers[diverged[i]];
    answer.insert(answer.end(), continuations[i].begin(), continuations[i].end());
  }
  return answers;
}

Json optional_number(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json prompt_json(const golden::GoldenPrompt& prompt, const std::string& adapter,
                 const golden::PromptDiff& diff, const TextInput& text,
                 const std::vector<std::int32_t>& then, const std::vector<std::int32_t>& now) {
  Json json{{"id", prompt.id}, {"adapter", adapter}};
  if (!prompt.slice.empty()) json["slice"] = prompt.slice;
  json["diverged"] = diff.divergence.has_value();
  json["ties"] = diff.ties;
  json["answer_tokens"] = diff.answer_tokens;
  json["token_disagreements"] = diff.disagreements;
  if (diff.divergence) {
    const auto token = [&](std::int32_t id) {
      return text.tokenizer ? text.tokenizer->id_to_token(id).value_or(std::to_string(id))
                            : std::to_string(id);
    };
    json["first_divergence"] = {{"position", diff.divergence->position},
                                {"reference_token", token(diff.divergence->expected_id)},
                                {"token", token(diff.divergence->found_id)},
                                {"margin", diff.divergence->margin}};
    json["reference_text"] = answer_text(text, then);
  } else {
    json["first_divergence"] = nullptr;
  }
  json["text"] = answer_text(text, now);
  if (prompt.expected) json["expected_met"] = is_expected(prompt, answer_text(text, now));
  json["kl_prompt"] = optional_number(diff.kl_prompt);
  json["kl_answer"] = optional_number(diff.kl_answer);
  json["kl_answer_max"] = diff.kl_answer_max;
  json["nll"] = diff.nll;
  json["nll_reference"] = diff.nll_reference;
  json["cosine_last"] = diff.cosine_last;
  json["cosine_mean"] = diff.cosine_mean;
  json["cosine_answer"] = diff.cosine_answer;
  json["l2_last"] = diff.l2_last;
  json["same_prompt_ids"] = diff.same_prompt;
  return json;
}

ExpectedOutcome expected_outcome(const golden::Suite& suite, const TextInput& text,
                                 const golden::Reference& reference,
                                 const std::vector<std::vector<std::int32_t>>& now) {
  ExpectedOutcome outcome;
  for (std::size_t i = 0; i < suite.prompts.size(); ++i) {
    if (!suite.prompts[i].expected) continue;
    ++outcome.n;
    outcome.right += is_expected(suite.prompts[i], answer_text(text, now[i]));
    outcome.right_when_recorded +=
        is_expected(suite.prompts[i], answer_text(text, reference.sequences[i].answer_ids));
  }
  return outcome;
}

Json prompts_json(const GoldenJob& job, const golden::Reference& reference,
                  const golden::GoldenDiff& diff, const TextInput& text,
                  const std::vector<std::vector<std::int32_t>>& answers) {
  Json prompts = Json::array();
  for (std::size_t i = 0; i < job.suite.prompts.size(); ++i) {
    prompts.push_back(prompt_json(job.suite.prompts[i], job.session.lane_name(), diff.prompts[i],
                                  text, reference.sequences[i].answer_ids, answers[i]));
  }
  return prompts;
}

// Everything that is known only after the sweep.
struct SweepResult {
  golden::GoldenDiff diff;
  double tie_margin = 0;
  std::vector<std::vector<std::int32_t>> answers;
};

SweepResult run_sweep(const GoldenJob& job, const golden::Reference& reference,
                      const std::vector<golden::Sequence>& sequences, engine::LayerStore& store,
                      Progress& progress) {
  const engine::Lane lane = job.lane(job.compute);
  const golden::ObserveRequest request{
      .lane = &lane,
      .sequences = sequences,
      .reference_ids = golden::reference_ids_for(reference, sequences)};
  const golden::Observation observed =
      std::move(golden::observe(store, {&request, 1}, progress).front());
  SweepResult result;
  result.tie_margin = std::max(reference.floor.margin, job.policy.number("golden.tie_margin"));
  result.diff = golden::compare(reference, sequences, observed, result.tie_margin);
  result.answers = answers_now(store, lane, reference, sequences, result.diff, progress);
  return result;
}

Measures behaviour_measures(const GoldenJob& job, const golden::Reference& reference,
                            const SweepResult& result, const TextInput& text,
                            const golden::Identity& identity, const adapter::EffectSums& effects) {
  Measures measures;
  const auto append = [&](Measures more) { std::ranges::move(more, std::back_inserter(measures)); };
  if (const auto& adapter = job.session.adapter) {
    append(effect_measures(effects, job.session.landing.patches, adapter->config.use_rslora));
  }
  IdentityNow now{.identity = identity,
                  .has_adapter = job.session.adapter.has_value(),
                  .prompts = static_cast<std::int64_t>(result.diff.prompts.size())};
  now.prompts_with_other_ids = std::ranges::count_if(
      result.diff.prompts, [](const golden::PromptDiff& prompt) { return !prompt.same_prompt; });
  append(identity_measures(reference.identity, now));
  append(golden_measures(result.diff, reference.floor,
                         expected_outcome(job.suite, text, reference, result.answers), job.policy));
  return measures;
}

}  // namespace

report::Report validate(const ValidateOptions& options, Context& context) {
  const RunFigures figures;
  const GoldenJob job = open_job(options);
  const std::filesystem::path folder = reference_folder(
      job.suite, options.reference, job.session.adapter ? job.session.adapter->name : "");
  const golden::Reference reference = golden::read_reference(folder);
  expect_same_suite(job.suite, reference, folder);

  report::Report report = begin_report(job, "validate");
  report.inputs.push_back({"reference", folder.string(), ""});
  Measures measures = job.session.adapter_measures;
  measures.push_back(prompt_count_measure(static_cast<std::int64_t>(job.suite.prompts.size())));
  report.checks = report::gate(measures, job.policy);
  if (gate_fails(report.checks)) return report;

  const TextInput text = job.open_text();
  const auto prompt_ids = tokenise(job.suite, text);
  if (options.dry_run) {
    report.metrics["plan"] = plan_json(job.session.base, options.engine, prompt_ids, job.compute);
    return report;
  }
  BaseWatch watch(job.session.base.checkpoint, job.session.base.modules, job.session.patches());
  engine::LayerStore store = job.store(job.compute, &watch);
  const SweepResult result = run_sweep(job, reference, golden::sequences_for(reference, prompt_ids),
                                       store, context.progress);
  const golden::Identity identity = identity_of(job.session, text, watch.finish());
  Measures more = behaviour_measures(job, reference, result, text, identity, watch.effects());
  std::ranges::move(more, std::back_inserter(measures));
  report.checks = report::gate(measures, job.policy);

  set_digests(report, identity);
  report.prompts = prompts_json(job, reference, result.diff, text, result.answers);
  report.metrics = {{"prompts", job.suite.prompts.size()},
                    {"answer_tokens", result.diff.answer_tokens},
                    {"kl_top_k", reference.k},
                    {"tie_margin", result.tie_margin},
                    {"reference_compute", reference.compute}};
  if (options.timings) report.run = figures.json(store);
  return report;
}

}  // namespace loraproof::commands
