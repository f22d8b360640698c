// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <fmt/format.h>

#include "loraproof/commands/run_figures.h"
#include "loraproof/commands/session.h"
#include "loraproof/commands/validate.h"
#include "loraproof/core/log.h"
#include "loraproof/engine/decode.h"
#include "loraproof/golden/compare.h"
#include "loraproof/golden/observe.h"
#include "loraproof/report/gate.h"

namespace loraproof::commands {
namespace {

engine::LayerStore open_store(const Session& session, const EngineOptions& options,
                              at::ScalarType compute, at::Device device, BaseWatch* watch) {
  engine::StoreOptions store{
      .compute = compute, .device = device, .memory_bytes = options.memory_bytes};
  if (watch != nullptr)
    store.on_first_read = [watch](const io::TensorView& view) { watch->see(view); };
  return {session.base.checkpoint, session.base.config, std::move(store)};
}

std::filesystem::path target_folder(const ValidateOptions& options, const golden::Suite& suite,
                                    const Session& session) {
  const std::string name = options.reference.empty() ? session.lane_name() : options.reference;
  if (name.find('/') != std::string::npos || name == "." || name == "..") {
    throw usage_error(
        {.message = "not a name for a reference", .where = "--reference", .found = name});
  }
  std::filesystem::path folder = suite.folder / "references" / name;
  if (std::filesystem::exists(folder) && !options.force) {
    throw input_error(
        {.message = "a reference of this name exists already",
         .file = folder.string(),
         .hint = "pass --force to replace it, or --reference NAME to record beside it"});
  }
  return folder;
}

// A second healthy run, in the other compute type: what differs between the two is noise.
golden::NoiseFloor measure_floor(const ValidateOptions& options, const Session& session,
                                 const golden::Reference& reference,
                                 const golden::Observation& recorded, at::ScalarType compute,
                                 at::Device device, Progress& progress) {
  const at::ScalarType other = compute == at::kFloat ? at::kBFloat16 : at::kFloat;
  engine::LayerStore store = open_store(session, options.engine, other, device, nullptr);
  const engine::Lane lane =
      engine::make_lane(session.lane_name(), session.landing.patches, other, device);
  const golden::ObserveRequest request{.lane = &lane,
                                       .sequences = reference.sequences,
                                       .reference_ids = reference.distributions.topk_ids};
  const golden::Observation second =
      std::move(golden::observe(store, {&request, 1}, progress).front());
  const golden::GoldenDiff diff = golden::compare(reference, reference.sequences, second, 0.0);
  return golden::floor_from(diff, reference, recorded, second);
}

}  // namespace

report::Report record(const ValidateOptions& options, Context& context) {
  RunFigures figures;
  const golden::Suite suite = golden::read_suite(options.golden);
  const report::Policy policy =
      load_policy(options.policy, suite.limits, (suite.folder / "suite.yaml").string());
  const at::Device device = parse_device(options.engine.device);
  const at::ScalarType compute = parse_compute(options.engine.compute);
  const Session session = open_session(options.base, options.adapter);
  const std::filesystem::path folder = target_folder(options, suite, session);

  report::Report report;
  report.tool = begin_engine(options.engine, device);
  report.command = "validate --record";
  report.inputs = {{"base", session.base.folder.string(), ""}};
  if (session.adapter) report.inputs.push_back({"adapter", session.adapter->folder.string(), ""});
  report.inputs.push_back({"golden", options.golden, suite.digest});
  Measures measures = session.adapter_measures;
  if (static_cast<std::int64_t>(suite.prompts.size()) < policy.integer("golden.min_prompts")) {
    log::warn(
        fmt::format("{} prompts are fewer than golden.min_prompts ({}): validating with them will "
                    "be inconclusive",
                    suite.prompts.size(), policy.integer("golden.min_prompts")));
  }
  report.checks = report::gate(measures, policy);
  if (gate_fails(report.checks)) return report;

  const TextInput text =
      open_text(suite, session.base.folder, session.adapter ? &session.adapter->folder : nullptr);
  const auto prompt_ids = tokenise(suite, text);
  if (options.dry_run) {
    report.metrics["plan"] = plan_json(session.base, options.engine, prompt_ids, compute);
    return report;
  }

  BaseWatch watch(session.base.checkpoint, session.base.modules, session.patches());
  engine::LayerStore store = open_store(session, options.engine, compute, device, &watch);
  const engine::Lane lane =
      engine::make_lane(session.lane_name(), session.landing.patches, compute, device);
  golden::Reference reference{.suite_name = suite.name,
                              .suite_digest = suite.digest,
                              .compute = compute_name(compute),
                              .device = report.tool.device,
                              .libtorch = report.tool.libtorch,
                              .tool_version = kVersion,
                              .k = std::min(options.top_k, session.base.config.vocab_size),
                              .stop_ids = stop_ids(suite, text, session.base.config),
                              .max_new_tokens = suite.max_new_tokens};
  std::vector<engine::DecodeRequest> requests;
  for (const auto& ids : prompt_ids) requests.push_back({ids, suite.max_new_tokens});
  const auto answers =
      engine::greedy_decode(store, lane, requests, reference.stop_ids, context.progress);
  for (std::size_t i = 0; i < prompt_ids.size(); ++i) {
    reference.prompt_names.push_back(suite.prompts[i].id);
    reference.sequences.push_back({prompt_ids[i], answers[i]});
  }
  const golden::ObserveRequest request{
      .lane = &lane, .sequences = reference.sequences, .top_k = reference.k};
  const golden::Observation recorded =
      std::move(golden::observe(store, {&request, 1}, context.progress).front());
  reference.distributions = recorded.top;
  reference.embeddings = recorded.embeddings;
  reference.identity = identity_of(session, text, watch.finish());
  if (session.adapter) {
    Measures effects = effect_measures(watch.effects(), session.landing.patches,
                                       session.adapter->config.use_rslora);
    std::ranges::move(effects, std::back_inserter(measures));
    report.checks = report::gate(measures, policy);
    if (gate_fails(report.checks)) return report;
  }
  reference.floor =
      measure_floor(options, session, reference, recorded, compute, device, context.progress);
  golden::write_reference(reference, folder, options.force);

  report.inputs[0].sha256 = io::combined_digest(reference.identity.base);
  if (session.adapter) report.inputs[1].sha256 = io::combined_digest(reference.identity.adapter);
  std::int64_t expected = 0, met = 0, answer_tokens = 0;
  for (std::size_t i = 0; i < suite.prompts.size(); ++i) {
    const std::string answer = answer_text(text, answers[i]);
    Json prompt{{"id", suite.prompts[i].id}, {"adapter", session.lane_name()}, {"text", answer}};
    answer_tokens += static_cast<std::int64_t>(answers[i].size());
    if (suite.prompts[i].expected) {
      ++expected;
      met += is_expected(suite.prompts[i], answer);
      prompt["expected_met"] = is_expected(suite.prompts[i], answer);
    }
    report.prompts.push_back(std::move(prompt));
  }
  report.metrics = {{"reference", folder.string()},
                    {"prompts", suite.prompts.size()},
                    {"answer_tokens", answer_tokens},
                    {"expected", expected},
                    {"expected_met", met},
                    {"noise_floor",
                     {{"kl_prompt", reference.floor.kl_prompt},
                      {"kl_answer", reference.floor.kl_answer},
                      {"cosine", reference.floor.cosine},
                      {"cosine_worst", reference.floor.cosine_worst},
                      {"l2", reference.floor.l2},
                      {"nll", reference.floor.nll},
                      {"token_disagreement", reference.floor.token_disagreement},
                      {"text_disagreement", reference.floor.text_disagreement},
                      {"margin", reference.floor.margin}}}};
  if (options.timings) report.run = figures.json(store);
  return report;
}

}  // namespace loraproof::commands
