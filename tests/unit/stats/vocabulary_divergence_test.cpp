// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/vocabulary_divergence.h"

#include <cmath>
#include <random>

#include "drift_oracle.h"
#include "loraproof/core/error.h"
#include "loraproof/core/json.h"

namespace loraproof::stats {
namespace {

using Counts = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("vocabulary PSI and KL equal Evidently's formulas, expectations all splits") {
  for (const Json& each : drift_oracle("vocabularies")) {
    INFO(each.at("name").get<std::string>());
    const auto found =
        vocabulary_divergence(each.at("a").get<Counts>(), each.at("b").get<Counts>());
    REQUIRE(found);
    CHECK(found->tokens == each.at("tokens").get<std::size_t>());
    check_equal(each.at("psi"), found->psi);
    check_equal(each.at("kl"), found->kl);
    check_equal(each.at("no_drift_psi"), found->no_drift_psi);
    check_equal(each.at("no_drift_kl"), found->no_drift_kl);
  }
}

TEST_CASE("entropies equal scipy's with the correction") {
  for (const Json& each : drift_oracle("entropies"))
    check_equal(each.at("entropy"), *miller_madow_entropy(each.at("counts").get<Counts>()));
  CHECK_FALSE(miller_madow_entropy({}));
  CHECK_FALSE(miller_madow_entropy(Counts{0, 0}));
  CHECK_THROWS_AS(miller_madow_entropy(Counts{-1}), Error);
}

TEST_CASE("an empty side has no divergence") {
  CHECK_FALSE(vocabulary_divergence(Counts{0, 0}, Counts{1, 2}));
  CHECK_FALSE(vocabulary_divergence(Counts{1, 2}, Counts{0, 0}));
  CHECK_FALSE(vocabulary_divergence({}, {}));
  CHECK_THROWS_AS(vocabulary_divergence(Counts{1}, {}), Error);
  CHECK_THROWS_AS(vocabulary_divergence(Counts{-1, 2}, Counts{3, 0}), Error);
}

TEST_CASE("frequent tokens: the expectation to first order is (K - 1)(1/N + 1/M) but for the sum") {
  // 50 tokens of 10,000 each: nothing is rare, so each adds 1/N + 1/M.
  const Counts same(50, 10'000);
  const auto found = vocabulary_divergence(same, same);
  CHECK(found->no_drift_psi == Approx(50 * 2 / 500'000.0));
  CHECK(found->no_drift_kl == Approx(50 / 500'000.0));
  CHECK(found->psi == 0);
}

TEST_CASE("tokens dealt at random have the PSI that was expected") {
  std::mt19937 random(8);
  double psi = 0, kl = 0, expected_psi = 0, expected_kl = 0;
  for (int round = 0; round < 100; ++round) {
    Counts a(2000), b(2000);
    std::geometric_distribution<std::size_t> token(0.004);
    for (int i = 0; i < 3000; ++i) ++a[std::min<std::size_t>(token(random), 1999)];
    for (int i = 0; i < 2000; ++i) ++b[std::min<std::size_t>(token(random), 1999)];
    const auto found = vocabulary_divergence(a, b);
    psi += found->psi;
    kl += found->kl;
    expected_psi += found->no_drift_psi;
    expected_kl += found->no_drift_kl;
  }
  CHECK(psi == Approx(expected_psi).epsilon(0.03));
  CHECK(kl == Approx(expected_kl).epsilon(0.03));
}

}  // namespace loraproof::stats
