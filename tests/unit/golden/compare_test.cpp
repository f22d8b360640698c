// SPDX-License-Identifier: Apache-2.0
#include "loraproof/golden/compare.h"

#include <ATen/ATen.h>
#include <cmath>

#include "loraproof/golden/spread.h"
#include "support/catch.h"

using namespace loraproof;

namespace {

// Two prompts over a vocabulary of 3 with k = 2. Prompt 0: two prompt tokens, two answer tokens (3
// rows); prompt 1: one prompt token, one answer token (1 row).
constexpr float kHalf = -0.6931472F;  // log 0.5

struct Fixture {
  golden::Reference reference;
  golden::Observation now;

  Fixture() {
    reference.k = 2;
    reference.prompt_names = {"a", "b"};
    reference.sequences = {{{0, 1}, {2, 1}}, {{1}, {0}}};
    reference.distributions.topk_ids =
        at::tensor({1, 0, 2, 0, 1, 2, 0, 1}, at::kInt).reshape({4, 2});
    reference.distributions.topk_logprobs =
        at::log(at::tensor({0.5F, 0.25F, 0.5F, 0.25F, 0.5F, 0.25F, 0.5F, 0.25F})).reshape({4, 2});
    reference.distributions.tail_logprob = at::log(at::tensor({0.25F, 0.25F, 0.25F, 0.25F}));
    reference.embeddings = {at::tensor({3.0F, 4.0F, 1.0F, 0.0F}).reshape({2, 2}), at::ones({2, 2}),
                            at::ones({2, 2})};
    now.embeddings = {reference.embeddings.last.clone(), at::ones({2, 2}), at::ones({2, 2})};
    now.at_reference = reference.distributions.topk_logprobs.clone();
    now.tail_at_reference = reference.distributions.tail_logprob.clone();
    now.next_logprob = at::full({4}, kHalf);
    now.next_gap = at::full({4}, 1.0F);
    now.best_id = at::tensor({1, 2, 1, 0}, at::kInt);
  }
  [[nodiscard]] golden::GoldenDiff diff(double margin = 0.1) const {
    return golden::compare(reference, reference.sequences, now, margin);
  }
};

}  // namespace

TEST_CASE("the same observation differs in nothing") {
  const auto diff = Fixture().diff();
  CHECK(diff.cosine == Approx(1.0));
  CHECK(diff.l2 == 0.0);
  CHECK(diff.kl_prompt == Approx(0.0).margin(1e-7));
  CHECK(diff.kl_answer == Approx(0.0).margin(1e-7));
  CHECK(diff.nll_delta == Approx(0.0).margin(1e-6));
  CHECK(diff.equal_texts == 2);
  CHECK(diff.answer_tokens == 3);
  CHECK(diff.kl_prompt_n == 1);  // prompt 1 has one token, so no prompt row
}

TEST_CASE("embeddings: cosine and relative distance by hand") {
  Fixture f;
  f.now.embeddings.last[0] = at::tensor({4.0F, 3.0F});
  const auto diff = f.diff();
  CHECK(diff.prompts[0].cosine_last == Approx(24.0 / 25.0));
  CHECK(diff.prompts[0].l2_last == Approx(std::sqrt(2.0) / 5.0));
  CHECK(diff.cosine == Approx((24.0 / 25.0 + 1) / 2));
  CHECK(diff.cosine_worst == Approx(24.0 / 25.0));
}

TEST_CASE("KL is booked under prompt or answer by the row it belongs to") {
  Fixture f;
  // Row 0 is prompt 0's only prompt row: q = (.25, .5, .25) against p = (.5, .25, .25).
  f.now.at_reference[0] = at::log(at::tensor({0.25F, 0.5F}));
  const double kl = 0.5 * std::log(2.0) - 0.25 * std::log(2.0);
  CHECK(f.diff().kl_prompt == Approx(kl).epsilon(1e-5));
  CHECK(f.diff().kl_answer == Approx(0.0).margin(1e-7));
  f.now.at_reference[3] = at::log(at::tensor({0.25F, 0.5F}));  // prompt 1's answer row
  const auto diff = f.diff();
  CHECK(diff.kl_answer == Approx(kl / 2).epsilon(1e-5));  // mean over the two prompts
  CHECK(diff.prompts[1].kl_answer_max == Approx(kl).epsilon(1e-5));
}

TEST_CASE("a disagreement beyond the margin diverges, one within it is a tie") {
  Fixture f;
  f.now.best_id =
      at::tensor({1, 0, 1, 0}, at::kInt);  // row 1 predicts prompt 0's first answer token
  f.now.next_gap = at::tensor({1.0F, -0.5F, 1.0F, 1.0F});
  auto diff = f.diff(0.1);
  CHECK(diff.disagreements == 1);
  CHECK(diff.diverged_texts == 1);
  REQUIRE(diff.prompts[0].divergence);
  CHECK(diff.prompts[0].divergence->position == 0);
  CHECK(diff.prompts[0].divergence->expected_id == 2);
  CHECK(diff.prompts[0].divergence->found_id == 0);
  CHECK(diff.prompts[0].divergence->margin == Approx(0.5));
  diff = f.diff(0.5);
  CHECK(diff.ties == 1);
  CHECK(diff.tied_texts == 1);
  CHECK(diff.disagreements == 0);
  CHECK_FALSE(diff.prompts[0].divergence);
}

TEST_CASE("NLL is of the answer's tokens, against the recorded ones") {
  Fixture f;
  f.now.next_logprob =
      at::tensor({-9.0F, -1.0F, -2.0F, kHalf});  // row 0 is a prompt row: not counted
  const auto diff = f.diff();
  CHECK(diff.prompts[0].nll == Approx(1.5));
  CHECK(diff.prompts[0].nll_reference == Approx(std::log(2.0)));
  CHECK(diff.nll_delta == Approx((1.5 - std::log(2.0)) / 2));
}

TEST_CASE("a prompt with other ids keeps its answer rows comparable and loses its prompt rows") {
  Fixture f;
  const std::vector<std::vector<std::int32_t>> prompts = {{0, 2, 1}, {1}};
  const auto sequences = golden::sequences_for(f.reference, prompts);
  const at::Tensor ids = golden::reference_ids_for(f.reference, sequences);
  REQUIRE(ids.size(0) == 5);  // one row more than recorded
  CHECK(at::equal(ids.narrow(0, 2, 3), f.reference.distributions.topk_ids.narrow(0, 1, 3)));
  f.now.at_reference = at::cat({at::full({1, 2}, -7.0F), f.now.at_reference});
  f.now.tail_at_reference = at::cat({at::full({1}, -7.0F), f.now.tail_at_reference});
  f.now.next_logprob = at::cat({at::full({1}, -7.0F), f.now.next_logprob});
  f.now.next_gap = at::cat({at::full({1}, 1.0F), f.now.next_gap});
  f.now.best_id = at::cat({at::zeros({1}, at::kInt), f.now.best_id});
  const auto diff = golden::compare(f.reference, sequences, f.now, 0.1);
  CHECK_FALSE(diff.prompts[0].same_prompt);
  CHECK_FALSE(diff.prompts[0].kl_prompt);
  CHECK(diff.kl_prompt_n == 0);
  CHECK(diff.kl_answer == Approx(0.0).margin(1e-7));
  CHECK(diff.equal_texts == 2);
}

TEST_CASE("NaN is carried into the figures, never hidden") {
  Fixture f;
  f.now.embeddings.last[1] = std::nanf("");
  f.now.at_reference[3] = at::full({2}, std::nanf(""));
  const auto diff = f.diff();
  CHECK(std::isnan(diff.cosine));
  CHECK(std::isnan(diff.cosine_worst));
  CHECK(std::isnan(diff.kl_answer));
}

TEST_CASE("the floor's margin is the widest gap that changed sides between two healthy runs") {
  Fixture f;
  golden::Observation second = f.now;
  second.next_gap = at::tensor({-5.0F, -0.03F, 0.9F, 0.8F});  // row 0 is a prompt row
  f.now.next_gap = at::tensor({5.0F, 0.02F, 1.0F, 1.0F});
  const auto floor = golden::floor_from(f.diff(), f.reference, f.now, second);
  CHECK(floor.margin == Approx(0.03));
}

TEST_CASE("a position that was undecided when recorded is a tie, whatever the margin is now") {
  Fixture f;
  f.reference.answer_ties = {{true, false}, {false}};
  f.now.best_id = at::tensor({1, 0, 1, 0}, at::kInt);
  f.now.next_gap = at::tensor({1.0F, -7.0F, 1.0F, 1.0F});
  const auto diff = f.diff();
  CHECK(diff.ties == 1);
  CHECK(diff.disagreements == 0);
  CHECK(diff.tied_texts == 1);
}

TEST_CASE("the expected answer's NLL is the answer's where that is the expected one") {
  Fixture f;
  f.reference.expected_ids = {{}, {2}};
  f.reference.expected_nll = {0.25, 3.0};
  f.now.next_logprob = at::tensor({-9.0F, -1.0F, -2.0F, kHalf});
  auto diff = f.diff();
  CHECK(diff.prompts[0].expected_nll == Approx(1.5));
  CHECK(diff.prompts[0].expected_nll_reference == 0.25);
  CHECK_FALSE(diff.prompts[1].expected_nll);  // has tokens of its own: scored elsewhere
  CHECK(diff.expected_nll_n == 1);
  CHECK(diff.expected_nll_delta == Approx(1.25));
  diff.prompts[1].expected_nll = 4.0;
  diff = golden::add_up(diff.prompts);
  CHECK(diff.expected_nll_n == 2);
  CHECK(diff.expected_nll_delta == Approx((1.25 + 1.0) / 2));
}

TEST_CASE("NLL of answers by hand") {
  const std::vector<golden::Sequence> sequences = {{{0, 1}, {2, 1}}, {{1}, {}}, {{3}, {0}}};
  golden::Observation observed;
  observed.next_logprob = at::tensor({-9.0F, -1.0F, -2.0F, -5.0F});
  const auto nll = golden::answer_nll(sequences, observed);
  CHECK(nll[0] == Approx(1.5));
  CHECK_FALSE(nll[1]);
  CHECK(nll[2] == Approx(5.0));
}

TEST_CASE("the larger of two floors, field by field") {
  const auto floor = golden::larger_of({.kl_prompt = 1, .l2 = 0.5}, {.kl_prompt = 0.5, .l2 = 2});
  CHECK(floor.kl_prompt == 1);
  CHECK(floor.l2 == 2);
  CHECK(golden::floor_fields().size() * sizeof(double) == sizeof(golden::NoiseFloor));
}

TEST_CASE("spread: shares are exact, means are resampled, no samples say nothing") {
  std::vector<golden::PromptDiff> prompts(20);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    prompts[i].kl_prompt = 0.01 + 0.001 * static_cast<double>(i);
    prompts[i].answer_tokens = 10;
  }
  const auto spread = golden::spread_of(golden::add_up(prompts), {});
  CHECK(spread.text.interval->low ==
        Approx(std::pow(0.025, 1.0 / 20)));  // 20 of 20, Clopper-Pearson
  CHECK(*spread.text.smallest_effect == Approx(1 - std::pow(0.2, 1.0 / 20)));
  CHECK(*spread.token_agreement.smallest_effect == Approx(1 - std::pow(0.2, 1.0 / 200)));
  CHECK(spread.kl_prompt.interval->low > 0.01);
  CHECK(spread.kl_prompt.interval->high < 0.029);
  CHECK_FALSE(spread.kl_answer.interval);
  CHECK_FALSE(spread.expected_nll.smallest_effect);
  // One prompt that loses half its answer: its tokens are drawn together.
  prompts[3].disagreements = 5;
  const auto clustered = golden::spread_of(golden::add_up(prompts), {});
  CHECK(*clustered.token_agreement.smallest_effect > 0.04);
}
