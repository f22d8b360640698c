// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/share_divergence.h"

#include <cmath>
#include <random>

#include "drift_oracle.h"
#include "loraproof/core/error.h"
#include "loraproof/core/json.h"

namespace loraproof::stats {
namespace {

using Counts = std::vector<std::int64_t>;

void check_plain(const Json& expected, const Divergences& found) {
  check_equal(expected.at("psi"), found.psi);
  check_equal(expected.at("kl_reference_window"), found.kl_reference_window);
  check_equal(expected.at("kl_window_reference"), found.kl_window_reference);
  check_equal(expected.at("js_distance"), found.js_distance);
  check_equal(expected.at("total_variation"), found.total_variation);
  check_equal(expected.at("hellinger"), found.hellinger);
}

void check_debiased(const Json& expected, const DebiasedDivergences& found) {
  check_equal(expected.at("psi"), found.psi);
  check_equal(expected.at("kl_reference_window"), found.kl_reference_window);
  check_equal(expected.at("kl_window_reference"), found.kl_window_reference);
  check_equal(expected.at("psi_standard_error"), found.psi_standard_error);
  check_equal(expected.at("kl_standard_error"), found.kl_standard_error);
  check_equal(expected.at("no_drift_psi"), found.no_drift_psi);
}

// n prompts that draw `tokens` tokens from the shares 1/2, 1/4, 1/8, ... of d groups: shares.
Rows prompts(std::mt19937& random, std::size_t n, std::size_t d, int tokens) {
  Rows rows(n, std::vector<double>(d));
  std::geometric_distribution<std::size_t> group(0.5);
  for (auto& row : rows)
    for (int i = 0; i < tokens; ++i) row[std::min(group(random), d - 1)] += 1.0 / tokens;
  return rows;
}

}  // namespace

TEST_CASE("divergences equal mpmath's and scipy's") {
  for (const Json& each : drift_oracle("divergences")) {
    INFO(each.at("name").get<std::string>());
    const auto p = each.at("p").get<std::vector<double>>();
    const auto q = each.at("q").get<std::vector<double>>();
    check_plain(each, divergences(p, q));
  }
}

TEST_CASE("divergences worked out by hand") {
  const std::vector<double> p = {0.5, 0.5}, q = {0.25, 0.75}, none;
  const Divergences found = divergences(p, q);
  CHECK(found.psi == Approx(0.25 * std::log(3)));  // 1/4 ln 2 + 1/4 ln(3/2)
  CHECK(found.total_variation == Approx(0.25));
  CHECK(divergences(p, p).psi == 0);
  CHECK(divergences(p, p).js_distance == 0);
  CHECK(divergences(none, none).hellinger == 0);
  CHECK_THROWS_AS(divergences(p, none), Error);
}

TEST_CASE("debiased PSI and KL of groups equal matrices of the rows") {
  for (const Json& each : drift_oracle("groups")) {
    INFO(each.at("name").get<std::string>());
    const OwnedSums a(each.at("reference").get<Rows>()), b(each.at("window").get<Rows>());
    const auto found = group_divergence(a.view(), b.view(), {.smoothing = each.at("smoothing")});
    REQUIRE(found);
    for (std::size_t i = 0; i < found->reference.size(); ++i) {
      check_equal(each.at("p").at(i), found->reference[i]);
      check_equal(each.at("q").at(i), found->window[i]);
    }
    check_plain(each.at("plain"), found->plain);
    REQUIRE(found->debiased.has_value() == !each.at("debiased").is_null());
    if (found->debiased) check_debiased(each.at("debiased"), *found->debiased);
    if (!each.contains("shift_test")) continue;
    const auto test = group_shift_test(a.view(), b.view());
    REQUIRE(test);
    check_p(each.at("shift_test").at("p"), test->p);
    check_equal(each.at("shift_test").at("squared_distance"), test->squared_distance);
  }
}

TEST_CASE("counts of categories are groups whose prompts have one each") {
  const Counts a = {12, 0, 5, 3, 0}, b = {2, 4, 9, 0, 0};
  const auto rows = [](const Counts& counts) {
    Rows result;
    for (std::size_t i = 0; i < counts.size(); ++i)
      for (std::int64_t n = 0; n < counts[i]; ++n) {
        result.emplace_back(counts.size(), 0.0);
        result.back()[i] = 1;
      }
    return result;
  };
  for (const double smoothing : {0.5, 0.0}) {
    const OwnedSums sums1(rows(a)), sums2(rows(b));
    const auto slow = group_divergence(sums1.view(), sums2.view(), {smoothing});
    const auto fast = count_divergence(a, b, {smoothing});
    REQUIRE((slow && fast && slow->debiased && fast->debiased));
    CHECK(fast->plain.psi == slow->plain.psi);
    CHECK(fast->reference == slow->reference);
    CHECK(fast->debiased->no_drift_psi == Approx(slow->debiased->no_drift_psi).epsilon(1e-12));
    CHECK(fast->debiased->psi_standard_error ==
          Approx(slow->debiased->psi_standard_error).epsilon(1e-12));
  }
}

TEST_CASE("empty sides, one prompt, constants and one group are defined") {
  const OwnedSums some(Rows(4, {0.25, 0.75})), one(Rows(1, {0.25, 0.75})), none(Rows{}, 2);
  CHECK_FALSE(group_divergence(some.view(), none.view()));
  CHECK_FALSE(group_divergence(none.view(), some.view()));
  CHECK_FALSE(count_divergence(Counts{0, 0}, Counts{1, 2}));
  const auto single = group_divergence(some.view(), one.view());
  REQUIRE(single);
  CHECK_FALSE(single->debiased);
  CHECK(single->plain.psi > 0);
  CHECK_FALSE(count_divergence(Counts{5, 5}, Counts{1, 0})->debiased);
  const auto same = group_divergence(some.view(), some.view());
  CHECK(same->debiased->psi == 0);
  CHECK(same->debiased->psi_standard_error == 0);
  CHECK(group_shift_test(some.view(), some.view())->p == 1);
  const OwnedSums left(Rows(5, {0.5, 0.5, 0, 0})), right(Rows(4, {0, 0, 0.5, 0.5}));
  CHECK(group_shift_test(left.view(), right.view())->p == 0);
  const OwnedSums alone(Rows(4, {1.0}));
  CHECK(group_divergence(alone.view(), alone.view())->debiased->psi == 0);
  CHECK(group_shift_test(alone.view(), alone.view())->p == 1);
  CHECK_THROWS_AS(group_divergence(some.view(), alone.view()), Error);
  CHECK_THROWS_AS(group_shift_test(some.view(), alone.view()), Error);
  CHECK_THROWS_AS(count_divergence(Counts{1}, Counts{1, 2}), Error);
  // Disjoint without smoothing: infinite, not NaN.
  const auto infinite = group_divergence(left.view(), right.view(), {.smoothing = 0});
  CHECK(infinite->plain.psi == INFINITY);
  CHECK(infinite->debiased->psi == INFINITY);
  CHECK(std::isfinite(infinite->debiased->psi_standard_error));
}

TEST_CASE("huge counts keep their digits") {
  const auto found = count_divergence(Counts{500'000'000'000, 500'000'000'000},
                                      Counts{500'001'000'000, 499'999'000'000});
  // d^2 / (1/2 * 1/2) with d = 1e-6.
  CHECK(found->plain.psi == Approx(4e-12).epsilon(1e-6));
  CHECK(found->debiased->no_drift_psi == Approx(2e-12).epsilon(1e-6));
}

TEST_CASE("without drift the debiased PSI is 0 on average and its error what it says") {
  std::mt19937 random(4);
  for (const auto& [n, m] : {std::pair{400, 400}, std::pair{1000, 100}}) {
    double sum = 0, squares = 0, variance = 0, raw = 0;
    int alarms = 0;
    constexpr int kPairs = 300;
    for (int pair = 0; pair < kPairs; ++pair) {
      const OwnedSums a(prompts(random, n, 6, 20)), b(prompts(random, m, 6, 20));
      const auto found = group_divergence(a.view(), b.view());
      const DebiasedDivergences& debiased = *found->debiased;
      sum += debiased.psi;
      squares += debiased.psi * debiased.psi;
      variance += debiased.psi_standard_error * debiased.psi_standard_error;
      raw += found->plain.psi;
      alarms += group_shift_test(a.view(), b.view())->p < 0.05;
    }
    const double mean = sum / kPairs;
    const double deviation = std::sqrt(squares / kPairs - mean * mean);
    CHECK(std::abs(mean) < 0.15 * raw / kPairs);
    CHECK(std::abs(mean) < 4 * deviation / std::sqrt(kPairs));
    // d'DVDd is itself inflated by noise, up to sqrt(3) in the error when there is no drift at all.
    const double stated = std::sqrt(variance / kPairs);
    CHECK(stated > 0.9 * deviation);
    CHECK(stated < 2.2 * deviation);
    CHECK(alarms <= kPairs * 8 / 100);
  }
}

}  // namespace loraproof::stats
