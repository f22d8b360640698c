// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <fmt/format.h>

#include "loraproof/commands/figure.h"
#include "loraproof/commands/measures.h"
#include "loraproof/golden/spread.h"

namespace loraproof::commands {
namespace {

using golden::Against;
using golden::Spread;
using report::Limit;
using report::Measure;
using report::Outcome;

constexpr const char* kLowerBound = "nats (a lower bound: top k and tail)";

std::optional<double> limit_max(const report::Policy& policy, std::string_view id) {
  const report::CheckPolicy limits = policy.check(id);
  return limits.set_limit.max ? limits.set_limit.max : limits.default_limit.max;
}

// Builds the measures of one lane, in the order in which reports list them.
class GoldenMeasures {
 public:
  GoldenMeasures(const Behaviour& behaviour, Against against, const report::Policy& policy,
                 std::uint64_t seed)
      : behaviour_(behaviour),
        diff_(*behaviour.diff),
        floor_(behaviour.reference->floor),
        against_(against),
        policy_(policy),
        options_(spread_options(policy, seed)),
        spread_(golden::spread_of(diff_, options_)) {}

  Measures build() {
    texts();
    expected();
    likelihoods();
    embeddings();
    return std::move(measures_);
  }

 private:
  // A question about sameness: asked against `same`, reported only against a revision.
  Measure& add(const char* id, const Figure& figure, std::string message, Limit derived = {}) {
    Measure measure = measure_of(id, figure, std::move(message), options_.interval.level);
    measure.report_only = against_ == Against::Revision;
    if (!derived.empty() && !measure.report_only) measure.derived_limit = derived;
    measures_.push_back(std::move(measure));
    return measures_.back();
  }

  [[nodiscard]] double above(double seen, const char* least) const {
    return policy_.number("golden.floor_multiple") * std::max(seen, policy_.number(least));
  }

  // What a base without the adapter does is the likeliest explanation of a large difference.
  [[nodiscard]] std::string like_the_base() const {
    const auto& base = behaviour_.reference->base_figures;
    if (!base || diff_.kl_answer < 0.5 * base->kl_answer) return "";
    return fmt::format(
        "the base without the adapter was {:.3g} nats away when recorded: is the adapter applied "
        "at all?",
        base->kl_answer);
  }

  void texts() {
    const std::int64_t decided = diff_.equal_texts + diff_.diverged_texts;
    add("golden.text", {share(diff_.equal_texts, decided), decided, spread_.text, 1},
        fmt::format("greedy answers: {} equal, {} different, {} decided by ties", diff_.equal_texts,
                    diff_.diverged_texts, diff_.tied_texts))
        .hint = like_the_base();
    const std::int64_t positions = diff_.answer_tokens - diff_.ties;
    add("golden.token_agreement",
        {share(positions - diff_.disagreements, positions), positions, spread_.token_agreement, 1},
        "answer tokens that are still the first choice");
    add("golden.ties", {share(diff_.ties, diff_.answer_tokens), diff_.answer_tokens, {}, 0},
        "answer positions where two tokens lie closer than the noise");
  }

  void expected() {
    const OutcomeCounts counts = count(behaviour_.outcomes);
    if (counts.flips.n == 0) {
      measures_.push_back(skipped("golden.expected", "the suite expects nothing"));
    } else {
      // As right as it was when recorded, less the share of answers that golden.text lets differ.
      const double then = share(counts.right_then, counts.flips.n);
      const double allowed = 1 - policy_.check("golden.text").default_limit.min.value_or(1.0);
      add("golden.expected",
          {share(counts.right_now, counts.flips.n), counts.flips.n,
           golden::share_spread(counts.right_now, counts.flips.n, options_), then},
          fmt::format("{} answers are as expected; {} were when recorded", counts.right_now,
                      counts.right_then),
          {.min = std::max(0.0, then - allowed)});
    }
    if (against_ == Against::Revision) revision(counts.flips);
  }

  void revision(const stats::Flips& flips) {
    constexpr const char* kFlips = "golden.expected_flips";
    const double p = stats::mcnemar_p(flips);
    Measure& measure = add(
        kFlips,
        {flips.excess(),
         flips.n,
         {stats::excess_interval(flips, options_.interval.level),
          stats::smallest_share(flips.n, options_.power)}},
        fmt::format("{} answers became wrong, {} became right (exact one-sided McNemar p {:.3g})",
                    flips.lost, flips.gained, p));
    measure.report_only = false;
    measure.hint = "read the answers that became wrong; they are listed with both texts";
    if (flips.n == 0) {
      measure.outcome = Outcome::Inconclusive;
      measure.message =
          "the suite expects nothing, so a new version of the adapter can't be judged";
      measure.hint = "give the prompts an \"expected\" answer, or judge with --against same";
      return;
    }
    undecided_by_chance(measure, p <= options_.alpha);
    Measure& nll = add("golden.expected_nll",
                       {diff_.expected_nll_delta, diff_.expected_nll_n, spread_.expected_nll},
                       "NLL of the expected answers, now minus when recorded, nats per token");
    nll.report_only = false;
    nll.hint = "the new version is less sure of the right answers: compare the training runs";
    if (nll.interval) undecided_by_chance(nll, nll.interval->low > 0);
  }

  // A figure over its limit that chance explains is neither a failure nor a pass.
  void undecided_by_chance(Measure& measure, bool significant) const {
    const auto max = limit_max(policy_, measure.id);
    if (significant || !max || !measure.value || !(*measure.value > *max)) return;
    measure.outcome = Outcome::Inconclusive;
    measure.message += fmt::format(
        ": over the limit of {:.3g}, but so few prompts show that by chance as well", *max);
    measure.hint = "add prompts until it can be told";
  }

  void likelihoods() {
    add("golden.nll", {diff_.nll_delta, diff_.kl_answer_n, spread_.nll},
        "NLL of the recorded answers, now minus when recorded, nats per token",
        {.max = above(floor_.nll, "golden.floor_min_nll")});
    add("golden.kl_prompt", {diff_.kl_prompt, diff_.kl_prompt_n, spread_.kl_prompt},
        fmt::format("mean KL over the prompts' tokens, {}", kLowerBound),
        {.max = above(floor_.kl_prompt, "golden.floor_min_kl")});
    add("golden.kl_answer", {diff_.kl_answer, diff_.kl_answer_n, spread_.kl_answer},
        fmt::format("mean KL over the answers' tokens, {}", kLowerBound),
        {.max = above(floor_.kl_answer, "golden.floor_min_kl")})
        .hint = like_the_base();
  }

  void embeddings() {
    const auto n = static_cast<std::int64_t>(diff_.prompts.size());
    const auto cosine = [&](const char* id, double value, double floor, const Spread& spread,
                            const char* message) {
      add(id, {value, n, spread, 1}, message, {.min = 1 - above(floor, "golden.floor_min_cosine")});
    };
    cosine("golden.embedding_cosine", diff_.cosine, floor_.cosine, spread_.cosine,
           "cosine of the last prompt token's hidden state, mean");
    cosine("golden.embedding_cosine_min", diff_.cosine_worst, floor_.cosine_worst, {},
           "the same, worst prompt");
    cosine("golden.embedding_mean", diff_.cosine_mean, floor_.cosine_mean, spread_.cosine_mean,
           "cosine of the prompts' mean hidden state, mean");
    cosine("golden.embedding_answer", diff_.cosine_answer, floor_.cosine_answer,
           spread_.cosine_answer, "cosine of the answers' mean hidden state, mean");
    add("golden.embedding_l2", {diff_.l2, n, spread_.l2},
        "relative L2 distance of the last prompt token's hidden state, mean",
        {.max = above(floor_.l2, "golden.floor_min_l2")});
  }

  const Behaviour& behaviour_;
  const golden::GoldenDiff& diff_;
  const golden::NoiseFloor& floor_;
  Against against_;
  const report::Policy& policy_;
  golden::SpreadOptions options_;
  golden::GoldenSpread spread_;
  Measures measures_;
};

}  // namespace

report::Measure prompt_count_measure(std::int64_t prompts) {
  return {.id = "golden.prompts",
          .value = static_cast<double>(prompts),
          .n = prompts,
          .message = fmt::format("{} golden prompts", prompts),
          .hint = "add prompts to the suite; a handful can't tell a fault from noise"};
}

Measures golden_measures(const Behaviour& behaviour, golden::Against against,
                         const report::Policy& policy, std::uint64_t seed) {
  return GoldenMeasures(behaviour, against, policy, seed).build();
}

}  // namespace loraproof::commands
