// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/lanes.h"

#include <algorithm>
#include <map>
#include <utility>

#include "loraproof/commands/outcomes.h"
#include "loraproof/engine/decode.h"
#include "loraproof/golden/observe.h"

namespace loraproof::commands {
namespace {

// What a task reads in the sweep. `expected` holds the prompts whose expected answer is not the
// recorded one, so that it has to be scored by itself.
struct TaskPlan {
  const engine::Lane* lane = nullptr;
  std::vector<golden::Sequence> sequences;
  std::vector<std::size_t> expected_of;
  std::vector<golden::Sequence> expected;
};

TaskPlan plan_task(const GoldenJob& job, const LaneTask& task, const engine::Lane& lane,
                   const std::vector<std::vector<std::int32_t>>& prompt_ids) {
  TaskPlan plan{.lane = &lane, .sequences = golden::sequences_for(*task.reference, prompt_ids)};
  if (job.against != golden::Against::Revision) return plan;
  for (std::size_t i = 0; i < prompt_ids.size(); ++i) {
    if (task.reference->expected_ids[i].empty()) continue;
    plan.expected_of.push_back(i);
    plan.expected.push_back({prompt_ids[i], task.reference->expected_ids[i]});
  }
  return plan;
}

std::vector<golden::ObserveRequest> requests_of(std::span<const TaskPlan> plans,
                                                std::span<const LaneTask> tasks) {
  std::vector<golden::ObserveRequest> requests;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    requests.push_back(
        {.lane = plans[i].lane,
         .sequences = plans[i].sequences,
         .reference_ids = golden::reference_ids_for(*tasks[i].reference, plans[i].sequences)});
    if (!plans[i].expected.empty())
      requests.push_back({.lane = plans[i].lane, .sequences = plans[i].expected});
  }
  return requests;
}

std::vector<std::optional<Leaving>> leaves_of(const golden::GoldenDiff& diff) {
  std::vector<std::optional<Leaving>> leaves;
  for (const golden::PromptDiff& prompt : diff.prompts) {
    leaves.emplace_back();
    if (const auto& divergence = prompt.divergence)
      leaves.back() = Leaving{divergence->position, divergence->found_id};
  }
  return leaves;
}

}  // namespace

std::vector<std::vector<std::int32_t>> answers_now(engine::LayerStore& store,
                                                   const engine::Lane& lane,
                                                   const golden::Reference& reference,
                                                   std::span<const golden::Sequence> sequences,
                                                   std::span<const std::optional<Leaving>> leaves,
                                                   Progress& progress) {
  std::vector<std::vector<std::int32_t>> answers;
  std::vector<engine::DecodeRequest> requests;
  std::vector<std::size_t> diverged;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    std::vector<std::int32_t> answer = sequences[i].answer_ids;
    if (leaves[i]) {
      answer.resize(static_cast<std::size_t>(leaves[i]->position));
      answer.push_back(leaves[i]->token);
      const bool stops =
          std::ranges::find(reference.stop_ids, leaves[i]->token) != reference.stop_ids.end();
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

std::vector<LaneResult> run_lanes(const GoldenJob& job, std::span<const LaneTask> tasks,
                                  const std::vector<std::vector<std::int32_t>>& prompt_ids,
                                  engine::LayerStore& store, Progress& progress) {
  std::map<const AdapterSession*, engine::Lane> lanes;
  std::vector<TaskPlan> plans;
  for (const LaneTask& task : tasks) {
    if (!lanes.contains(task.adapter))
      lanes.emplace(task.adapter, job.lane(task.adapter, job.compute));
    plans.push_back(plan_task(job, task, lanes.at(task.adapter), prompt_ids));
  }
  const auto requests = requests_of(plans, tasks);
  const auto observed = golden::observe(store, requests, progress);

  std::vector<LaneResult> results;
  auto next = observed.begin();
  for (std::size_t t = 0; t < tasks.size(); ++t) {
    const golden::Reference& reference = *tasks[t].reference;
    const TaskPlan& plan = plans[t];
    LaneResult result;
    result.tie_margin = std::max(reference.floor.margin, job.policy.number("golden.tie_margin"));
    result.diff = golden::compare(reference, plan.sequences, *next++, result.tie_margin);
    if (!plan.expected.empty()) {
      const auto nll = golden::answer_nll(plan.expected, *next++);
      for (std::size_t i = 0; i < nll.size(); ++i)
        result.diff.prompts[plan.expected_of[i]].expected_nll = nll[i];
      result.diff = golden::add_up(std::move(result.diff.prompts));
    }
    result.answers =
        answers_now(store, *plan.lane, reference, plan.sequences, leaves_of(result.diff), progress);
    results.push_back(std::move(result));
  }
  return results;
}

std::vector<std::string> answer_texts(const TextInput& text,
                                      const std::vector<std::vector<std::int32_t>>& answers) {
  std::vector<std::string> texts;
  for (const auto& ids : answers) texts.push_back(answer_text(text, ids));
  return texts;
}

std::vector<std::string> recorded_texts(const TextInput& text, const golden::Reference& reference) {
  std::vector<std::string> texts;
  for (const auto& sequence : reference.sequences)
    texts.push_back(answer_text(text, sequence.answer_ids));
  return texts;
}

golden::BaseFigures base_figures_of(const golden::Suite& suite, const golden::GoldenDiff& diff,
                                    const std::vector<std::string>& texts) {
  golden::BaseFigures figures{.kl_prompt = diff.kl_prompt,
                              .kl_answer = diff.kl_answer,
                              .cosine = diff.cosine,
                              .equal_texts = diff.equal_texts,
                              .expected_met = count(outcomes_of(suite, texts, texts)).right_now};
  double nll = 0;
  for (const golden::PromptDiff& prompt : diff.prompts) nll += prompt.nll;
  figures.nll = nll / static_cast<double>(diff.prompts.size());
  return figures;
}

}  // namespace loraproof::commands
