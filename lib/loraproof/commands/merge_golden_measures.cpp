// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/merge_golden_measures.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "loraproof/commands/figure.h"
#include "loraproof/commands/noise_floor.h"
#include "loraproof/core/json.h"
#include "loraproof/report/numbers.h"

namespace loraproof::commands {
namespace {

using report::Limit;
using report::Measure;

constexpr const char* kHint =
    "nothing was written; a merge that lost a part or the scale of an adapter looks like this, and "
    "so does a change that the type rounds away (merge.survival)";

class MergeGoldenMeasures {
 public:
  MergeGoldenMeasures(const golden::GoldenDiff& diff, const golden::Reference& unmerged,
                      const report::Policy& policy)
      : diff_(diff),
        floor_(unmerged.floor),
        base_(unmerged.base_figures.value_or(golden::BaseFigures{})),
        policy_(policy),
        options_(spread_options(policy, 0)),
        spread_(golden::spread_of(diff, options_)) {}

  Measures build() {
    answers();
    distributions();
    embeddings();
    reach();
    return std::move(measures_);
  }

 private:
  void add(const char* id, const Figure& figure, std::string message, Limit derived = {}) {
    Measure measure = measure_of(id, figure, std::move(message), options_.interval.level);
    if (!derived.empty()) measure.derived_limit = derived;
    measure.hint = kHint;
    measures_.push_back(std::move(measure));
  }

  [[nodiscard]] double above(double seen, const char* least) const {
    return policy_.number("merge.golden_floor_multiple") * std::max(seen, policy_.number(least));
  }

  void answers() {
    const std::int64_t decided = diff_.equal_texts + diff_.diverged_texts;
    add("merge.golden_text", {share(diff_.equal_texts, decided), decided, spread_.text, 1},
        fmt::format("greedy answers, unmerged and merged: {} equal, {} different, {} decided by "
                    "ties",
                    diff_.equal_texts, diff_.diverged_texts, diff_.tied_texts));
    const std::int64_t positions = diff_.answer_tokens - diff_.ties;
    add("merge.golden_top1",
        {share(positions - diff_.disagreements, positions), positions, spread_.token_agreement, 1},
        fmt::format("answer tokens that are the first choice of both, {} ties apart", diff_.ties));
  }

  void distributions() {
    const double prompt = above(floor_.kl_prompt, "golden.floor_min_kl");
    const double answer = above(floor_.kl_answer, "golden.floor_min_kl");
    add("merge.golden_kl_prompt", {diff_.kl_prompt, diff_.kl_prompt_n, spread_.kl_prompt},
        "mean KL(unmerged || merged) over the prompts' tokens, nats", {.max = prompt});
    add("merge.golden_kl_answer", {diff_.kl_answer, diff_.kl_answer_n, spread_.kl_answer},
        "mean KL(unmerged || merged) over the answers' tokens, nats", {.max = answer});
    see("merge.golden_kl_prompt", diff_.kl_prompt_n > 0 ? base_.kl_prompt : 0, prompt);
    see("merge.golden_kl_answer", diff_.kl_answer_n > 0 ? base_.kl_answer : 0, answer);
  }

  void embeddings() {
    const auto n = static_cast<std::int64_t>(diff_.prompts.size());
    const auto cosine = [&](const char* id, double value, double floor,
                            const golden::Spread& spread, const char* message) {
      const double room = above(floor, "golden.floor_min_cosine");
      add(id, {value, n, spread, 1}, message, {.min = 1 - room});
      return room;
    };
    const double room =
        cosine("merge.golden_embedding", diff_.cosine, floor_.cosine, spread_.cosine,
               "cosine of the last prompt token's hidden state, unmerged and merged, mean");
    cosine("merge.golden_embedding_min", diff_.cosine_worst, floor_.cosine_worst, {},
           "the same, worst prompt");
    cosine("merge.golden_embedding_answer", diff_.cosine_answer, floor_.cosine_answer,
           spread_.cosine_answer, "cosine of the answers' mean hidden state, mean");
    add("merge.golden_l2", {diff_.l2, n, spread_.l2},
        "relative L2 distance of the last prompt token's hidden state, mean",
        {.max = above(floor_.l2, "golden.floor_min_l2")});
    see("merge.golden_embedding", 1 - base_.cosine, room);
  }

  // How many times over its limit (the policy's, where it has one) the base alone is.
  void see(const char* id, double base, double derived) {
    const report::Limit set = policy_.check(id).set_limit;
    double room = set.max.value_or(derived);
    if (set.min) room = 1 - *set.min;
    if (room > 0) reach_ = std::max(reach_, base / room);
  }

  // A suite on which the adapters change nothing would pass a merge without them.
  void reach() {
    Measure measure{.id = "merge.golden_reach",
                    .value = reach_,
                    .n = static_cast<std::int64_t>(diff_.prompts.size())};
    measure.message =
        fmt::format("the base without adapters is {} times as far away as the limits allow",
                    report::format_number(reach_));
    measure.hint =
        "add prompts that the adapters answer otherwise than the base: with these, a merge that "
        "left them out would have passed";
    if (!(reach_ > 1)) measure.outcome = report::Outcome::Inconclusive;
    measures_.push_back(std::move(measure));
  }

  const golden::GoldenDiff& diff_;
  const golden::NoiseFloor& floor_;
  golden::BaseFigures base_;
  const report::Policy& policy_;
  golden::SpreadOptions options_;
  golden::GoldenSpread spread_;
  double reach_ = 0;
  Measures measures_;
};

}  // namespace

Measures merge_golden_measures(const golden::GoldenDiff& diff, const golden::Reference& unmerged,
                               const report::Policy& policy) {
  return MergeGoldenMeasures(diff, unmerged, policy).build();
}

Json merge_golden_metrics(const golden::GoldenDiff& diff, const golden::Reference& unmerged) {
  Json runs = Json::object();
  for (const auto& [name, floor] : unmerged.floor_runs) runs[name] = floor_json(floor);
  const golden::BaseFigures base = unmerged.base_figures.value_or(golden::BaseFigures{});
  return {{"prompts", diff.prompts.size()},
          {"answer_tokens", diff.answer_tokens},
          {"kl_top_k", unmerged.k},
          {"noise_floor", floor_json(unmerged.floor)},
          {"noise_floor_runs", std::move(runs)},
          {"base_without_adapters",
           {{"kl_prompt", base.kl_prompt},
            {"kl_answer", base.kl_answer},
            {"cosine", base.cosine},
            {"equal_texts", base.equal_texts}}}};
}

}  // namespace loraproof::commands
