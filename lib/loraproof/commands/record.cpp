// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <fmt/format.h>

#include "loraproof/commands/lanes.h"
#include "loraproof/commands/noise_floor.h"
#include "loraproof/commands/recording.h"
#include "loraproof/commands/run_figures.h"
#include "loraproof/commands/validate.h"
#include "loraproof/core/json.h"
#include "loraproof/core/log.h"

namespace loraproof::commands {
namespace {

void warn_if_few(const GoldenJob& job) {
  const auto prompts = static_cast<std::int64_t>(job.suite.prompts.size());
  const std::int64_t least = job.policy.integer("golden.min_prompts");
  if (prompts >= least) return;
  log::warn(
      fmt::format("{} prompts are fewer than golden.min_prompts ({}): validating with them will "
                  "be inconclusive",
                  prompts, least));
}

// What was recorded: the answers, and how many are the expected ones.
Json describe(const GoldenJob& job, const Recording& recording, const TextInput& text,
              Json& prompts) {
  const golden::Reference& reference = recording.reference;
  const std::vector<std::string> answers = recorded_texts(text, reference);
  std::int64_t expected = 0, met = 0, answer_tokens = 0, ties = 0;
  for (std::size_t i = 0; i < job.suite.prompts.size(); ++i) {
    const golden::GoldenPrompt& prompt = job.suite.prompts[i];
    answer_tokens += static_cast<std::int64_t>(reference.sequences[i].answer_ids.size());
    ties += std::ranges::count(reference.answer_ties[i], true);
    Json row{{"id", prompt.id}, {"adapter", lane_name(recording.adapter)}, {"text", answers[i]}};
    if (prompt.expected) {
      const bool right = prompt.expected->met_by(answers[i]);
      ++expected;
      met += right;
      row["expected_met"] = right;
    }
    prompts.push_back(std::move(row));
  }
  Json json{{"reference", recording.folder.string()},
            {"answer_tokens", answer_tokens},
            {"answer_ties", ties},
            {"expected", expected},
            {"expected_met", met},
            {"noise_floor", floor_json(reference.floor)},
            {"noise_floor_runs", Json::object()}};
  for (const auto& [name, floor] : reference.floor_runs)
    json["noise_floor_runs"][name] = floor_json(floor);
  if (const auto& base = reference.base_figures) {
    json["base_without_adapter"] = {{"kl_answer", base->kl_answer},
                                    {"equal_texts", base->equal_texts},
                                    {"expected_met", base->expected_met}};
  }
  return json;
}

// The adapters' effect on the base, known once every weight was read.
Measures effects_of(const GoldenJob& job, const BaseWatch& watch) {
  Measures measures;
  for (std::size_t i = 0; i < job.session.adapters.size(); ++i) {
    const AdapterSession& adapter = job.session.adapters[i];
    append(measures,
           job.of_adapter(adapter, effect_measures(watch.effects(i), adapter.landing.patches,
                                                   adapter.input.config.use_rslora)));
  }
  return measures;
}

}  // namespace

report::Report record(const ValidateOptions& options, Context& context) {
  const RunFigures figures;
  const GoldenJob job = open_job(options);
  report::Report report = begin_report(job, "validate --record");
  Measures measures = job.adapter_measures();
  warn_if_few(job);
  report.checks = job.judge(measures);
  if (gate_fails(report.checks)) return report;

  const TextInput text = job.open_text();
  std::vector<Recording> recordings = begin_recordings(job, report.tool, text);
  const auto prompt_ids = tokenise(job.suite, text);
  if (options.dry_run) {
    report.metrics["plan"] = plan_json(job.session.base, options.engine, prompt_ids, job.compute);
    return report;
  }
  BaseWatch watch = job.watch();
  engine::LayerStore store = job.store(job.compute, &watch);
  std::vector<golden::Observation> recorded;
  for (Recording& recording : recordings) {
    decode_answers(job, store, prompt_ids, recording, context.progress);
    recorded.push_back(score_answers(job, text, store, recording, context.progress));
  }
  const io::DigestByName& tensors = watch.finish();
  append(measures, effects_of(job, watch));
  report.checks = job.judge(measures);
  if (gate_fails(report.checks)) return report;  // nothing faulty becomes a reference

  std::vector<adapter::AdapterIdentity> identities;
  for (std::size_t i = 0; i < recordings.size(); ++i) {
    Recording& recording = recordings[i];
    if (recording.adapter != nullptr) {
      const AdapterInput& input = recording.adapter->input;
      identities.push_back(adapter::identify(input.config, input.weights));
    }
    recording.reference.identity =
        identity_of(job.session.base, recording.adapter == nullptr ? nullptr : &identities.back(),
                    text, tensors);
    finish_recording(job, text, recorded[i], store, recording, context.progress);
  }
  report.metrics = {{"prompts", job.suite.prompts.size()}, {"lanes", Json::object()}};
  for (const Recording& recording : recordings) {
    golden::write_reference(recording.reference, recording.folder, options.force);
    report.metrics["lanes"][lane_name(recording.adapter)] =
        describe(job, recording, text, report.prompts);
  }
  set_digests(report, tensors, identities);
  if (options.timings) report.run = figures.json(store);
  return report;
}

}  // namespace loraproof::commands
