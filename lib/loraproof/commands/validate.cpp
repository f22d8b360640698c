// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/validate.h"

#include <algorithm>
#include <fmt/format.h>

#include "loraproof/commands/golden_job.h"
#include "loraproof/commands/lanes.h"
#include "loraproof/commands/prompt_rows.h"
#include "loraproof/commands/run_figures.h"
#include "loraproof/commands/slices.h"
#include "loraproof/core/json.h"

namespace loraproof::commands {
namespace {

// One adapter (or the base alone, null) with the reference that it is judged by.
struct Subject {
  const AdapterSession* adapter = nullptr;
  std::filesystem::path folder;
  golden::Reference reference;
};

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

std::vector<Subject> open_subjects(const GoldenJob& job) {
  std::vector<const AdapterSession*> adapters;
  for (const AdapterSession& adapter : job.session.adapters) adapters.push_back(&adapter);
  if (adapters.empty()) adapters.push_back(nullptr);
  std::vector<Subject> subjects;
  for (const AdapterSession* adapter : adapters) {
    std::filesystem::path folder = reference_folder(job.suite, job.options.reference,
                                                    adapter == nullptr ? "" : adapter->input.name);
    golden::Reference reference = golden::read_reference(folder);
    expect_same_suite(job.suite, reference, folder);
    subjects.push_back({adapter, std::move(folder), std::move(reference)});
  }
  return subjects;
}

// The subjects' lanes first, then, when asked for, the base's lane against each reference.
std::vector<LaneTask> tasks_of(const GoldenJob& job, const std::vector<Subject>& subjects) {
  std::vector<LaneTask> tasks;
  for (const Subject& subject : subjects) tasks.push_back({subject.adapter, &subject.reference});
  if (!job.options.with_base) return tasks;
  for (const Subject& subject : subjects) {
    if (subject.adapter != nullptr) tasks.push_back({nullptr, &subject.reference});
  }
  return tasks;
}

std::int64_t recorded_tokens(const golden::Reference& reference) {
  std::int64_t tokens = 0;
  for (const golden::Sequence& sequence : reference.sequences)
    tokens += static_cast<std::int64_t>(sequence.answer_ids.size());
  return tokens;
}

// Where the base is judged without adapters and `merge` wrote it.
std::optional<MergedFrom> merged_from(const GoldenJob& job, Progress& progress) {
  if (!job.session.adapters.empty()) return std::nullopt;
  std::optional<merge::Lineage> lineage = merge::read_lineage(job.session.base.folder);
  if (!lineage) return std::nullopt;
  auto changed = merge::changed_file(*lineage, job.session.base.checkpoint, progress);
  return MergedFrom{std::move(*lineage), std::move(changed)};
}

// The parts of a run that its measures are made of.
struct Run {
  const GoldenJob& job;
  const std::optional<MergedFrom>& merged;
  const TextInput& text;
  const BaseWatch& watch;
  const io::DigestByName& base_tensors;
};

Measures identity_of_subject(const Run& run, const Subject& subject, const golden::GoldenDiff& diff,
                             const adapter::AdapterIdentity* adapter) {
  IdentityNow now{
      .identity = identity_of(run.job.session.base, adapter, run.text, run.base_tensors),
      .has_adapter = adapter != nullptr,
      .merged = run.merged,
      .adapter_may_differ = run.job.against == golden::Against::Revision,
      .prompts = static_cast<std::int64_t>(diff.prompts.size())};
  now.prompts_with_other_ids = std::ranges::count_if(
      diff.prompts, [](const golden::PromptDiff& prompt) { return !prompt.same_prompt; });
  return identity_measures(subject.reference.identity, now);
}

// golden.base_distance: what the base does without the adapter, then and (with --with-base) now.
report::Measure base_distance(const golden::BaseFigures& then,
                              const std::optional<golden::BaseFigures>& now) {
  const golden::BaseFigures& latest = now ? *now : then;
  std::string message = fmt::format(
      "the base without the adapter{}: KL over answers {:.3g} nats, {} answers as recorded, {} as "
      "expected",
      now ? "" : " when recorded", latest.kl_answer, latest.equal_texts, latest.expected_met);
  if (now) message += fmt::format(" (when recorded {:.3g} nats)", then.kl_answer);
  return {.id = "golden.base_distance", .value = latest.kl_answer, .message = std::move(message)};
}

Json base_json(const golden::BaseFigures& figures) {
  return {{"kl_prompt", figures.kl_prompt},
          {"kl_answer", figures.kl_answer},
          {"nll", figures.nll},
          {"cosine", figures.cosine},
          {"equal_texts", figures.equal_texts},
          {"expected_met", figures.expected_met}};
}

// Everything about one subject that goes into the report.
struct Judged {
  Measures measures;
  std::vector<report::Check> slice_checks;
  LaneTexts texts;
  Json metrics;
};

Judged judge_subject(const Run& run, const Subject& subject, const LaneResult& lane,
                     const LaneResult* base) {
  const GoldenJob& job = run.job;
  Judged judged;
  judged.texts.lane = lane_name(subject.adapter);
  judged.texts.then = recorded_texts(run.text, subject.reference);
  judged.texts.now = answer_texts(run.text, lane.answers);
  judged.texts.outcomes = outcomes_of(job.suite, judged.texts.then, judged.texts.now);

  const Behaviour behaviour{&lane.diff, &subject.reference, judged.texts.outcomes};
  Measures golden = golden_measures(behaviour, job.against, job.policy, job.options.seed);
  judged.metrics = {{"answer_tokens", lane.diff.answer_tokens},
                    {"kl_top_k", subject.reference.k},
                    {"kl_is_lower_bound", true},
                    {"tie_margin", lane.tie_margin},
                    {"reference", subject.folder.string()},
                    {"reference_compute", subject.reference.compute}};
  if (const auto& recorded = subject.reference.base_figures;
      recorded && subject.adapter != nullptr) {
    std::optional<golden::BaseFigures> now;
    if (base != nullptr)
      now = base_figures_of(job.suite, base->diff, answer_texts(run.text, base->answers));
    golden.push_back(base_distance(*recorded, now));
    judged.metrics["base_when_recorded"] = base_json(*recorded);
    if (now) judged.metrics["base_now"] = base_json(*now);
  }
  append(judged.measures, with_subject(std::move(golden), judged.texts.lane));
  SliceResult slices = judge_slices(job, behaviour, judged.texts.lane);
  judged.slice_checks = std::move(slices.checks);
  if (!slices.metrics.empty()) judged.metrics["slices"] = std::move(slices.metrics);
  return judged;
}

// Fills the report with what the sweep found, subject by subject.
void report_results(const Run& run, const std::vector<Subject>& subjects,
                    const std::vector<LaneResult>& lanes, Measures measures,
                    report::Report& report) {
  std::vector<adapter::AdapterIdentity> identities;
  std::vector<report::Check> slice_checks;
  Json lane_metrics = Json::object();
  for (std::size_t i = 0; i < subjects.size(); ++i) {
    const Subject& subject = subjects[i];
    const adapter::AdapterIdentity* identity = nullptr;
    Measures own;
    if (subject.adapter != nullptr) {
      const AdapterInput& input = subject.adapter->input;
      identities.push_back(adapter::identify(input.config, input.weights));
      identity = &identities.back();
      append(own, effect_measures(run.watch.effects(i), subject.adapter->landing.patches,
                                  input.config.use_rslora));
    }
    append(own, identity_of_subject(run, subject, lanes[i].diff, identity));
    append(measures, subject.adapter == nullptr ? own : run.job.of_adapter(*subject.adapter, own));
    const std::size_t base = subjects.size() + i;
    Judged judged =
        judge_subject(run, subject, lanes[i], base < lanes.size() ? &lanes[base] : nullptr);
    append(measures, std::move(judged.measures));
    std::ranges::move(judged.slice_checks, std::back_inserter(slice_checks));
    add_prompt_rows(report.prompts, run.job.suite, run.text, lanes[i].diff, judged.texts);
    lane_metrics[judged.texts.lane] = std::move(judged.metrics);
  }
  report.checks = run.job.judge(measures);
  std::ranges::move(slice_checks, std::back_inserter(report.checks));
  report.metrics = {{"prompts", run.job.suite.prompts.size()},
                    {"against", choice_name(golden::kAgainstNames, run.job.against)},
                    {"lanes", std::move(lane_metrics)}};
  set_digests(report, run.base_tensors, identities);
}

}  // namespace

report::Report validate(const ValidateOptions& options, Context& context) {
  const RunFigures figures;
  const GoldenJob job = open_job(options);
  const std::vector<Subject> subjects = open_subjects(job);
  report::Report report = begin_report(job, "validate");
  for (const Subject& subject : subjects)
    report.inputs.push_back({"reference", subject.folder.string(), ""});
  Measures measures = job.adapter_measures();
  measures.push_back(prompt_count_measure(static_cast<std::int64_t>(job.suite.prompts.size())));
  report.checks = job.judge(measures);
  if (gate_fails(report.checks)) return report;

  const TextInput text = job.open_text();
  const auto prompt_ids = tokenise(job.suite, text);
  if (options.dry_run) {
    report.metrics["plan"] = plan_json(job.session.base, options.engine, prompt_ids, job.compute,
                                       recorded_tokens(subjects.front().reference));
    return report;
  }
  const std::optional<MergedFrom> merged = merged_from(job, context.progress);
  BaseWatch watch = job.watch();
  engine::LayerStore store = job.store(job.compute, &watch);
  const auto lanes = run_lanes(job, tasks_of(job, subjects), prompt_ids, store, context.progress);
  const Run run{job, merged, text, watch, watch.finish()};
  report_results(run, subjects, lanes, std::move(measures), report);
  if (options.timings) report.run = figures.json(store);
  return report;
}

}  // namespace loraproof::commands
