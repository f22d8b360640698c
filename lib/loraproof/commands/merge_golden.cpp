// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/merge_golden.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "loraproof/adapter/digest.h"
#include "loraproof/adapter/weighted_sum.h"
#include "loraproof/commands/golden_job.h"
#include "loraproof/commands/lanes.h"
#include "loraproof/commands/live_reference.h"
#include "loraproof/commands/merge_golden_measures.h"
#include "loraproof/commands/prompt_rows.h"
#include "loraproof/core/error.h"

namespace loraproof::commands {
namespace {

namespace fs = std::filesystem;

// Entries kept per distribution. More than a recording keeps: nothing is stored.
constexpr std::int64_t kTopK = 1024;

ValidateOptions validate_options(const MergeOptions& options) {
  return {.base = options.base,
          .adapters = options.adapters,
          .golden = options.golden,
          .against = golden::Against::Same,
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
    judge_identity(merge.base, proof);
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

  // Base, adapter, tokenizer and template against those that this adapter's reference was recorded
  // with, if there is one.
  void judge_identity(const io::DigestByName& base, MergeProof& proof) const {
    if (job_.session.adapters.size() != 1) return;
    const AdapterSession& adapter = job_.session.adapters.front();
    const fs::path folder = job_.suite.folder / "references" / adapter.input.name;
    if (!fs::exists(folder)) return;
    const golden::Reference reference = golden::read_reference(folder);
    const adapter::AdapterIdentity identity =
        adapter::identify(adapter.input.config, adapter.input.weights);
    const Measures measures = identity_measures(
        reference.identity, {.identity = identity_of(job_.session.base, &identity, text_, base)});
    std::ranges::move(job_.judge(measures), std::back_inserter(proof.checks));
  }

  golden::Reference run_unmerged(const report::ToolInfo& tool, std::span<const double> weights) {
    engine::LayerStore store = job_.store(job_.compute, nullptr);
    const bool as_recorded = weights.size() == 1 && weights.front() == 1;
    return live_reference({.job = job_,
                           .text = text_,
                           .prompt_ids = prompt_ids_,
                           .tool = tool,
                           .take_recorded = as_recorded},
                          store, context_.progress);
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
    std::ranges::move(job_.judge(measures), std::back_inserter(proof.checks));
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
