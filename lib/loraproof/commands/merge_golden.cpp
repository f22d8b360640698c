// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/merge_golden.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "loraproof/adapter/weighted_sum.h"
#include "loraproof/commands/golden_job.h"
#include "loraproof/commands/lanes.h"
#include "loraproof/commands/merge_golden_measures.h"
#include "loraproof/commands/prompt_rows.h"
#include "loraproof/commands/recording.h"
#include "loraproof/core/error.h"
#include "loraproof/golden/observe.h"

namespace loraproof::commands {
namespace {

namespace fs = std::filesystem;

// Entries kept per distribution. More than a recording keeps: nothing is stored.
constexpr std::int64_t kTopK = 1024;

ValidateOptions validate_options(const MergeOptions& options) {
  return {.base = options.base,
          .adapters = options.adapters,
          .golden = options.golden,
          .against = "same",
          .top_k = kTopK,
          .engine = options.engine,
          .policy = options.policy};
}

// Without config.json nothing loads a folder: a run that is killed during the comparison leaves one
// that is whole, but not proven.
class HiddenConfig {
 public:
  explicit HiddenConfig(const fs::path& folder)
      : shown_(folder / "config.json"), hidden_(folder / "config.json.unproven") {
    fs::rename(shown_, hidden_);
  }
  ~HiddenConfig() {
    std::error_code ignored;
    fs::rename(hidden_, shown_, ignored);
  }
  HiddenConfig(const HiddenConfig&) = delete;
  HiddenConfig& operator=(const HiddenConfig&) = delete;

 private:
  fs::path shown_, hidden_;
};

class GoldenProver {
 public:
  GoldenProver(const MergeOptions& options, Context& context)
      : context_(context),
        options_(validate_options(options)),
        job_(open_job(options_)),
        text_(job_.open_text()),
        prompt_ids_(tokenise(job_.suite, text_)) {}

  MergeProof prove(const StagedMerge& merge) {
    MergeProof proof{.tool = begin_engine(options_.engine, job_.device),
                     .suite = {"golden", options_.golden, job_.suite.digest}};
    add_adapters_up(merge.weights);
    const golden::Reference unmerged = run_unmerged(proof.tool, merge.weights);
    const LaneResult merged = run_merged(merge.folder, unmerged);
    judge(unmerged, merged, proof);
    return proof;
  }

 private:
  // The first session stands for all adapters from here on.
  void add_adapters_up(std::span<const double> weights) {
    std::vector<adapter::WeightedPatches> terms;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const AdapterSession& adapter = job_.session.adapters[i];
      terms.push_back({adapter.input.name, &adapter.landing.patches, weights[i]});
    }
    job_.session.adapters.front().landing.patches = adapter::weighted_sum(terms);
  }

  // Recorded answers of this adapter to these prompts save the decoding.
  [[nodiscard]] std::vector<golden::Sequence> recorded_answers(
      std::span<const double> weights) const {
    const fs::path folder =
        job_.suite.folder / "references" / job_.session.adapters.front().input.name;
    if (weights.size() != 1 || weights.front() != 1 || !fs::exists(folder)) return {};
    golden::Reference reference = golden::read_reference(folder);
    if (reference.suite_digest != job_.suite.digest) return {};
    if (!std::ranges::equal(reference.sequences, prompt_ids_, {}, &golden::Sequence::prompt_ids))
      return {};
    return std::move(reference.sequences);
  }

  golden::Reference run_unmerged(const report::ToolInfo& tool, std::span<const double> weights) {
    engine::LayerStore store = job_.store(job_.compute, nullptr);
    Recording recording{&job_.session.adapters.front(), {}, new_reference(job_, tool, text_)};
    golden::Reference& reference = recording.reference;
    std::optional<golden::Observation> seen;
    reference.sequences = recorded_answers(weights);
    if (!reference.sequences.empty()) {
      seen = score_answers(job_, text_, store, recording, context_.progress);
      // Other answers than this lane's own would hide where the merged one leaves it.
      const auto undecided = [](const std::vector<bool>& ties) {
        return std::ranges::count(ties, true) > 0;
      };
      if (std::ranges::any_of(reference.answer_ties, undecided)) seen.reset();
    }
    if (!seen) {
      decode_answers(job_, store, prompt_ids_, recording, context_.progress);
      seen = score_answers(job_, text_, store, recording, context_.progress);
    }
    measure_floor(job_, *seen, store, recording, context_.progress);
    reference.base_figures = run_base(reference, store);
    return std::move(reference);
  }

  // The base on the unmerged lane's answers. What it would say instead nobody asks here.
  golden::BaseFigures run_base(const golden::Reference& unmerged, engine::LayerStore& store) {
    const engine::Lane lane = job_.lane(nullptr, job_.compute);
    const golden::ObserveRequest request{.lane = &lane,
                                         .sequences = unmerged.sequences,
                                         .reference_ids = unmerged.distributions.topk_ids};
    const auto observed = golden::observe(store, {&request, 1}, context_.progress);
    const golden::GoldenDiff diff =
        golden::compare(unmerged, unmerged.sequences, observed.front(), 0.0);
    return {.kl_prompt = diff.kl_prompt,
            .kl_answer = diff.kl_answer,
            .cosine = diff.cosine,
            .equal_texts = diff.equal_texts};
  }

  LaneResult run_merged(const fs::path& folder, const golden::Reference& unmerged) {
    const GoldenJob job{options_,     job_.suite,  job_.against, job_.policy,
                        std::nullopt, job_.device, job_.compute, {.base = open_base(folder)}};
    const HiddenConfig until_judged(folder);
    engine::LayerStore store = job.store(job.compute, nullptr);
    const LaneTask task{nullptr, &unmerged};
    return std::move(run_lanes(job, {&task, 1}, prompt_ids_, store, context_.progress).front());
  }

  void judge(const golden::Reference& unmerged, const LaneResult& merged, MergeProof& proof) const {
    Measures measures{prompt_count_measure(static_cast<std::int64_t>(job_.suite.prompts.size()))};
    append(measures, merge_golden_measures(merged.diff, unmerged, job_.policy));
    proof.checks = job_.judge(measures);
    LaneTexts texts{.lane = "merged",
                    .then = recorded_texts(text_, unmerged),
                    .now = answer_texts(text_, merged.answers)};
    texts.outcomes = outcomes_of(job_.suite, texts.then, texts.now);
    add_prompt_rows(proof.prompts, job_.suite, text_, merged.diff, texts);
    proof.metrics = merge_golden_metrics(merged.diff, unmerged);
    proof.metrics["tie_margin"] = merged.tie_margin;
  }

  Context& context_;
  ValidateOptions options_;
  GoldenJob job_;
  TextInput text_;
  std::vector<std::vector<std::int32_t>> prompt_ids_;
};

}  // namespace

report::Report merge_golden(const MergeOptions& options, Context& context) {
  GoldenProver prover(options, context);
  return merge(options, context, [&](const StagedMerge& staged) { return prover.prove(staged); });
}

MergeProof prove_merge(const MergeOptions& options, Context& context, const StagedMerge& staged) {
  return GoldenProver(options, context).prove(staged);
}

}  // namespace loraproof::commands
