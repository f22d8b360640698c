// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <fmt/format.h>

#include "loraproof/commands/golden_job.h"
#include "loraproof/commands/run_figures.h"
#include "loraproof/commands/validate.h"
#include "loraproof/core/log.h"
#include "loraproof/engine/decode.h"
#include "loraproof/golden/compare.h"
#include "loraproof/golden/observe.h"
#include "loraproof/report/gate.h"

namespace loraproof::commands {
namespace {

std::filesystem::path target_folder(const GoldenJob& job) {
  const ValidateOptions& options = job.options;
  const std::string name = options.reference.empty() ? job.session.lane_name() : options.reference;
  if (name.find('/') != std::string::npos || name == "." || name == "..") {
    throw usage_error(
        {.message = "not a name for a reference", .where = "--reference", .found = name});
  }
  std::filesystem::path folder = job.suite.folder / "references" / name;
  if (std::filesystem::exists(folder) && !options.force) {
    throw input_error(
        {.message = "a reference of this name exists already",
         .file = folder.string(),
         .hint = "pass --force to replace it, or --reference NAME to record beside it"});
  }
  return folder;
}

void warn_if_few(const GoldenJob& job) {
  const auto prompts = static_cast<std::int64_t>(job.suite.prompts.size());
  const std::int64_t least = job.policy.integer("golden.min_prompts");
  if (prompts >= least) return;
  log::warn(
      fmt::format("{} prompts are fewer than golden.min_prompts ({}): validating with them will "
                  "be inconclusive",
                  prompts, least));
}

golden::Reference new_reference(const GoldenJob& job, const report::ToolInfo& tool,
                                const TextInput& text) {
  golden::Reference reference{.suite_name = job.suite.name,
                              .suite_digest = job.suite.digest,
                              .compute = tool.compute,
                              .device = tool.device,
                              .libtorch = tool.libtorch,
                              .tool_version = tool.version,
                              .k = std::min(job.options.top_k, job.session.base.config.vocab_size),
                              .stop_ids = stop_ids(job.suite, text, job.session.base.config),
                              .max_new_tokens = job.suite.max_new_tokens};
  for (const golden::GoldenPrompt& prompt : job.suite.prompts) {
    reference.prompt_names.push_back(prompt.id);
  }
  return reference;
}

// Decodes every prompt, then scores prompts and answers in one sweep.
golden::Observation decode_and_score(const GoldenJob& job, engine::LayerStore& store,
                                     const std::vector<std::vector<std::int32_t>>& prompt_ids,
                                     golden::Reference& reference, Progress& progress) {
  const engine::Lane lane = job.lane(job.compute);
  std::vector<engine::DecodeRequest> requests;
  for (const auto& ids : prompt_ids) requests.push_back({ids, reference.max_new_tokens});
  const auto answers = engine::greedy_decode(store, lane, requests, reference.stop_ids, progress);
  for (std::size_t i = 0; i < prompt_ids.size(); ++i) {
    reference.sequences.push_back({prompt_ids[i], answers[i]});
  }
  const golden::ObserveRequest request{
      .lane = &lane, .sequences = reference.sequences, .top_k = reference.k};
  golden::Observation recorded = std::move(golden::observe(store, {&request, 1}, progress).front());
  reference.distributions = recorded.top;
  reference.embeddings = recorded.embeddings;
  return recorded;
}

// A second healthy run, in the other compute type: what differs between the two is noise.
golden::NoiseFloor measure_floor(const GoldenJob& job, const golden::Reference& reference,
                                 const golden::Observation& recorded, Progress& progress) {
  const at::ScalarType other = job.compute == at::kFloat ? at::kBFloat16 : at::kFloat;
  engine::LayerStore store = job.store(other, nullptr);
  const engine::Lane lane = job.lane(other);
  const golden::ObserveRequest request{.lane = &lane,
                                       .sequences = reference.sequences,
                                       .reference_ids = reference.distributions.topk_ids};
  const golden::Observation second =
      std::move(golden::observe(store, {&request, 1}, progress).front());
  const golden::GoldenDiff diff = golden::compare(reference, reference.sequences, second, 0.0);
  return golden::floor_from(diff, reference, recorded, second);
}

Json floor_json(const golden::NoiseFloor& floor) {
  return {{"kl_prompt", floor.kl_prompt},
          {"kl_answer", floor.kl_answer},
          {"cosine", floor.cosine},
          {"cosine_worst", floor.cosine_worst},
          {"l2", floor.l2},
          {"nll", floor.nll},
          {"token_disagreement", floor.token_disagreement},
          {"text_disagreement", floor.text_disagreement},
          {"margin", floor.margin}};
}

// What was recorded: the answers, and how many are the expected ones.
void describe(const GoldenJob& job, const golden::Reference& reference, const TextInput& text,
              const std::filesystem::path& folder, report::Report& report) {
  std::int64_t expected = 0, met = 0, answer_tokens = 0;
  for (std::size_t i = 0; i < job.suite.prompts.size(); ++i) {
    const golden::GoldenPrompt& prompt = job.suite.prompts[i];
    const std::string answer = answer_text(text, reference.sequences[i].answer_ids);
    answer_tokens += static_cast<std::int64_t>(reference.sequences[i].answer_ids.size());
    Json row{{"id", prompt.id}, {"adapter", job.session.lane_name()}, {"text", answer}};
    if (prompt.expected) {
      ++expected;
      met += is_expected(prompt, answer);
      row["expected_met"] = is_expected(prompt, answer);
    }
    report.prompts.push_back(std::move(row));
  }
  report.metrics = {{"reference", folder.string()},
                    {"prompts", job.suite.prompts.size()},
                    {"answer_tokens", answer_tokens},
                    {"expected", expected},
                    {"expected_met", met},
                    {"noise_floor", floor_json(reference.floor)}};
}

}  // namespace

report::Report record(const ValidateOptions& options, Context& context) {
  const RunFigures figures;
  const GoldenJob job = open_job(options);
  const std::filesystem::path folder = target_folder(job);
  report::Report report = begin_report(job, "validate --record");
  Measures measures = job.session.adapter_measures;
  warn_if_few(job);
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
  golden::Reference reference = new_reference(job, report.tool, text);
  const golden::Observation recorded =
      decode_and_score(job, store, prompt_ids, reference, context.progress);
  reference.identity = identity_of(job.session, text, watch.finish());
  if (const auto& adapter = job.session.adapter) {
    Measures effects =
        effect_measures(watch.effects(), job.session.landing.patches, adapter->config.use_rslora);
    std::ranges::move(effects, std::back_inserter(measures));
    report.checks = report::gate(measures, job.policy);
    if (gate_fails(report.checks)) return report;  // nothing faulty becomes a reference
  }
  reference.floor = measure_floor(job, reference, recorded, context.progress);
  golden::write_reference(reference, folder, options.force);

  set_digests(report, reference.identity);
  describe(job, reference, text, folder, report);
  if (options.timings) report.run = figures.json(store);
  return report;
}

}  // namespace loraproof::commands
