// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/validate.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>

#include "loraproof/commands/run_figures.h"
#include "loraproof/commands/session.h"
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

}  // namespace

report::Report validate(const ValidateOptions& options, Context& context) {
  RunFigures figures;
  const golden::Suite suite = golden::read_suite(options.golden);
  const report::Policy policy =
      load_policy(options.policy, suite.limits, (suite.folder / "suite.yaml").string());
  const at::Device device = parse_device(options.engine.device);
  const at::ScalarType compute = parse_compute(options.engine.compute);
  const Session session = open_session(options.base, options.adapter);
  const std::filesystem::path folder =
      reference_folder(suite, options.reference, session.adapter ? session.adapter->name : "");
  const golden::Reference reference = golden::read_reference(folder);
  expect_same_suite(suite, reference, folder);

  report::Report report;
  report.tool = begin_engine(options.engine, device);
  report.command = "validate";
  report.inputs = {{"base", session.base.folder.string(), ""}};
  if (session.adapter) report.inputs.push_back({"adapter", session.adapter->folder.string(), ""});
  report.inputs.push_back({"golden", options.golden, suite.digest});
  report.inputs.push_back({"reference", folder.string(), ""});
  Measures measures = session.adapter_measures;
  measures.push_back(prompt_count_measure(static_cast<std::int64_t>(suite.prompts.size())));
  report.checks = report::gate(measures, policy);
  if (gate_fails(report.checks)) return report;

  const TextInput text =
      open_text(suite, session.base.folder, session.adapter ? &session.adapter->folder : nullptr);
  const auto prompt_ids = tokenise(suite, text);
  if (options.dry_run) {
    report.metrics["plan"] = plan_json(session.base, options.engine, prompt_ids, compute);
    return report;
  }
  const std::vector<golden::Sequence> sequences = golden::sequences_for(reference, prompt_ids);
  BaseWatch watch(session.base.checkpoint, session.base.modules, session.patches());
  engine::LayerStore store(session.base.checkpoint, session.base.config,
                           {.compute = compute,
                            .device = device,
                            .memory_bytes = options.engine.memory_bytes,
                            .on_first_read = [&](const io::TensorView& view) { watch.see(view); }});
  const engine::Lane lane =
      engine::make_lane(session.lane_name(), session.landing.patches, compute, device);
  const golden::ObserveRequest request{
      .lane = &lane,
      .sequences = sequences,
      .reference_ids = golden::reference_ids_for(reference, sequences)};
  const golden::Observation observed =
      std::move(golden::observe(store, {&request, 1}, context.progress).front());
  const double tie_margin = std::max(reference.floor.margin, policy.number("golden.tie_margin"));
  const golden::GoldenDiff diff = golden::compare(reference, sequences, observed, tie_margin);
  const auto answers = answers_now(store, lane, reference, sequences, diff, context.progress);

  IdentityNow now{.identity = identity_of(session, text, watch.finish()),
                  .has_adapter = session.adapter.has_value(),
                  .prompts = static_cast<std::int64_t>(sequences.size())};
  now.prompts_with_other_ids =
      std::ranges::count_if(diff.prompts, [](const auto& prompt) { return !prompt.same_prompt; });
  const auto append = [&](Measures more) { std::ranges::move(more, std::back_inserter(measures)); };
  if (session.adapter)
    append(effect_measures(watch.effects(), session.landing.patches,
                           session.adapter->config.use_rslora));
  append(identity_measures(reference.identity, now));
  append(golden_measures(diff, reference.floor, expected_outcome(suite, text, reference, answers),
                         policy));
  report.checks = report::gate(measures, policy);

  report.inputs[0].sha256 = io::combined_digest(now.identity.base);
  if (session.adapter) report.inputs[1].sha256 = io::combined_digest(now.identity.adapter);
  for (std::size_t i = 0; i < suite.prompts.size(); ++i) {
    report.prompts.push_back(prompt_json(suite.prompts[i], session.lane_name(), diff.prompts[i],
                                         text, reference.sequences[i].answer_ids, answers[i]));
  }
  report.metrics = {{"prompts", suite.prompts.size()},
                    {"answer_tokens", diff.answer_tokens},
                    {"kl_top_k", reference.k},
                    {"tie_margin", tie_margin},
                    {"reference_compute", reference.compute}};
  if (options.timings) report.run = figures.json(store);
  return report;
}

}  // namespace loraproof::commands
