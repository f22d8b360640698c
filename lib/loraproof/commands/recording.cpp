// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/recording.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <utility>

#include "loraproof/commands/lanes.h"
#include "loraproof/commands/noise_floor.h"
#include "loraproof/engine/decode.h"

namespace loraproof::commands {
namespace {

std::filesystem::path target_folder(const GoldenJob& job, const AdapterSession* adapter) {
  const ValidateOptions& options = job.options;
  const std::string name = options.reference.empty() ? lane_name(adapter) : options.reference;
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

// The stop token with which most answers ended; nothing where none did.
std::optional<std::int32_t> usual_stop(const golden::Reference& reference) {
  std::map<std::int32_t, int> ends;
  for (const golden::Sequence& sequence : reference.sequences) {
    if (sequence.answer_ids.empty()) continue;
    const std::int32_t last = sequence.answer_ids.back();
    if (std::ranges::find(reference.stop_ids, last) != reference.stop_ids.end()) ++ends[last];
  }
  const auto most =
      std::ranges::max_element(ends, {}, [](const auto& entry) { return entry.second; });
  return most == ends.end() ? std::nullopt : std::optional(most->first);
}

// Fills expected_ids: the tokens of expected answers that the recorded one does not already have.
void set_expected_ids(const GoldenJob& job, const TextInput& text, golden::Reference& reference) {
  reference.expected_ids.clear();
  reference.expected_nll.clear();
  const auto stop = usual_stop(reference);
  const std::vector<std::string> answers = recorded_texts(text, reference);
  for (std::size_t i = 0; i < job.suite.prompts.size(); ++i) {
    const auto& expected = job.suite.prompts[i].expected;
    std::vector<std::int32_t> ids;
    if (expected && expected->is_answer() && text.tokenizer && !expected->met_by(answers[i])) {
      ids = text.tokenizer->encode(expected->text(), false);
      if (stop) ids.push_back(*stop);
    }
    reference.expected_ids.push_back(std::move(ids));
  }
}

// Fills expected_nll: from the answer where it is the expected one, else from `scored`, which holds
// the other prompts in order.
void set_expected_nll(const GoldenJob& job, const TextInput& text,
                      const std::vector<std::optional<double>>& answers,
                      const std::vector<std::optional<double>>& scored,
                      golden::Reference& reference) {
  const std::vector<std::string> texts = recorded_texts(text, reference);
  auto next = scored.begin();
  for (std::size_t i = 0; i < job.suite.prompts.size(); ++i) {
    const auto& expected = job.suite.prompts[i].expected;
    std::optional<double> nll;
    if (!reference.expected_ids[i].empty()) {
      nll = *next++;
    } else if (expected && expected->met_by(texts[i])) {
      nll = answers[i];
    }
    reference.expected_nll.push_back(nll);
  }
}

// Where teacher forcing prefers another token than decoding chose, neither is right.
std::vector<std::vector<bool>> undecided(const golden::Reference& reference,
                                         const golden::Observation& scored) {
  const auto* best = scored.best_id.const_data_ptr<std::int32_t>();
  std::vector<std::vector<bool>> ties;
  for (const golden::Sequence& sequence : reference.sequences) {
    std::vector<bool> prompt;
    for (std::int64_t j = sequence.first_answer_row(); j < sequence.rows(); ++j)
      prompt.push_back(best[j] != sequence.next_token(j));
    best += sequence.rows();
    ties.push_back(std::move(prompt));
  }
  return ties;
}

void expect_finite(const golden::NoiseFloor& floor) {
  for (const golden::FloorField& field : golden::floor_fields()) {
    if (std::isfinite(floor.*field.member)) continue;
    throw input_error({.message = "the recorded run holds values that are not finite",
                       .where = fmt::format("noise floor of {}", field.key),
                       .hint = "does this base overflow in --compute bf16? try --compute fp32"});
  }
}

// The base without the adapter, read against the new reference.
golden::BaseFigures measure_base(const GoldenJob& job, const TextInput& text,
                                 const golden::Reference& reference, engine::LayerStore& store,
                                 Progress& progress) {
  std::vector<std::vector<std::int32_t>> prompt_ids;
  for (const golden::Sequence& sequence : reference.sequences)
    prompt_ids.push_back(sequence.prompt_ids);
  const LaneTask task{nullptr, &reference};
  const auto lanes = run_lanes(job, {&task, 1}, prompt_ids, store, progress);
  return base_figures_of(job.suite, lanes[0].diff, answer_texts(text, lanes[0].answers));
}

}  // namespace

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

std::vector<Recording> begin_recordings(const GoldenJob& job, const report::ToolInfo& tool,
                                        const TextInput& text) {
  if (!job.options.reference.empty() && job.session.adapters.size() > 1) {
    throw usage_error({.message = "one name for several references",
                       .where = "--reference",
                       .found = job.options.reference,
                       .hint = "name the adapters instead: --adapter NAME=DIR"});
  }
  std::vector<Recording> recordings;
  const auto add = [&](const AdapterSession* adapter) {
    recordings.push_back({adapter, target_folder(job, adapter), new_reference(job, tool, text)});
  };
  for (const AdapterSession& adapter : job.session.adapters) add(&adapter);
  if (recordings.empty()) add(nullptr);
  return recordings;
}

void decode_answers(const GoldenJob& job, engine::LayerStore& store,
                    const std::vector<std::vector<std::int32_t>>& prompt_ids, Recording& recording,
                    Progress& progress) {
  golden::Reference& reference = recording.reference;
  const engine::Lane lane = job.lane(recording.adapter, job.compute);
  std::vector<engine::DecodeRequest> requests;
  for (const auto& ids : prompt_ids) requests.push_back({ids, reference.max_new_tokens});
  const auto answers = engine::greedy_decode(store, lane, requests, reference.stop_ids, progress);
  reference.sequences.clear();
  for (std::size_t i = 0; i < prompt_ids.size(); ++i)
    reference.sequences.push_back({prompt_ids[i], answers[i]});
}

golden::Observation score_answers(const GoldenJob& job, const TextInput& text,
                                  engine::LayerStore& store, Recording& recording,
                                  Progress& progress) {
  golden::Reference& reference = recording.reference;
  const engine::Lane lane = job.lane(recording.adapter, job.compute);
  set_expected_ids(job, text, reference);
  std::vector<golden::Sequence> expected;
  for (std::size_t i = 0; i < reference.sequences.size(); ++i) {
    if (!reference.expected_ids[i].empty())
      expected.push_back({reference.sequences[i].prompt_ids, reference.expected_ids[i]});
  }
  std::vector<golden::ObserveRequest> reads = {
      {.lane = &lane, .sequences = reference.sequences, .top_k = reference.k}};
  if (!expected.empty()) reads.push_back({.lane = &lane, .sequences = expected});
  std::vector<golden::Observation> observed = golden::observe(store, reads, progress);
  reference.distributions = observed[0].top;
  reference.embeddings = observed[0].embeddings;
  reference.answer_ties = undecided(reference, observed[0]);
  std::vector<std::optional<double>> scored;
  if (!expected.empty()) scored = golden::answer_nll(expected, observed[1]);
  set_expected_nll(job, text, golden::answer_nll(reference.sequences, observed[0]), scored,
                   reference);
  return std::move(observed[0]);
}

void measure_floor(const GoldenJob& job, const golden::Observation& recorded,
                   engine::LayerStore& store, Recording& recording, Progress& progress) {
  golden::Reference& reference = recording.reference;
  reference.floor_runs =
      measure_floors(job, recording.adapter, reference, recorded, store, progress);
  for (const auto& [name, floor] : reference.floor_runs)
    reference.floor = golden::larger_of(reference.floor, floor);
  expect_finite(reference.floor);
}

void finish_recording(const GoldenJob& job, const TextInput& text,
                      const golden::Observation& recorded, engine::LayerStore& store,
                      Recording& recording, Progress& progress) {
  measure_floor(job, recorded, store, recording, progress);
  golden::Reference& reference = recording.reference;
  if (recording.adapter != nullptr)
    reference.base_figures = measure_base(job, text, reference, store, progress);
}

}  // namespace loraproof::commands
