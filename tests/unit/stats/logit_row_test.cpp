// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/logit_row.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "support/catch.h"

using namespace loraproof;

namespace {

const float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> random_logits(std::size_t count, float spread) {
  std::mt19937 engine(11);
  std::normal_distribution<float> normal(0.0F, spread);
  std::vector<float> logits(count);
  for (float& logit : logits) logit = normal(engine);
  return logits;
}

// Log of the sum of exp over the ids that `wanted` takes, in f64.
template <typename Wanted>
double log_mass(const std::vector<float>& logits, Wanted wanted) {
  const double largest = *std::ranges::max_element(logits);
  double sum = 0;
  for (std::size_t i = 0; i < logits.size(); ++i)
    if (wanted(static_cast<std::int32_t>(i))) sum += std::exp(logits[i] - largest);
  return std::log(sum) + largest;
}

bool everything(std::int32_t) { return true; }

}  // namespace

TEST_CASE("a row of three by hand") {
  const std::vector<float> logits = {0.0F, std::log(6.0F), 0.0F};
  stats::LogitRow row;
  stats::read_logits(logits, row);
  CHECK(row.best == 1);
  CHECK(row.logprob(1) == Approx(std::log(0.75)));
  CHECK(row.logprob(0) == Approx(std::log(0.125)));
  CHECK(row.gap(1) == Approx(std::log(6.0)));
  CHECK(row.gap(2) == Approx(-std::log(6.0)));
  CHECK(row.tail_logprob(std::vector<std::int32_t>{1}) == Approx(std::log(0.25)));
  CHECK(row.top(2) == std::vector<std::int32_t>{1, 0});
}

TEST_CASE("log-probabilities and tails agree with float64") {
  for (const std::size_t count : {1UL, 7UL, 16UL, 100UL, 4097UL, 49152UL}) {
    for (const float spread : {0.5F, 3.0F, 12.0F}) {
      const auto logits = random_logits(count, spread);
      stats::LogitRow row;
      stats::read_logits(logits, row);
      const double all = log_mass(logits, everything);
      INFO(count << " logits of spread " << spread);
      for (std::size_t id = 0; id < count; id += 1 + count / 50) {
        // f32 cannot hold a log-probability of magnitude 60 any finer than 4e-6.
        CHECK(std::abs(row.logprob(static_cast<std::int32_t>(id)) - (logits[id] - all)) < 1e-5);
      }
      const auto ids = row.top(std::min<std::size_t>(count / 2, 256));
      if (ids.empty()) continue;
      const auto outside = [&](std::int32_t id) { return std::ranges::find(ids, id) == ids.end(); };
      CHECK(std::abs(row.tail_logprob(ids) - (log_mass(logits, outside) - all)) < 1e-5);
    }
  }
}

TEST_CASE("a tail far below the rest does not cancel away") {
  // The mass outside is 3e-18 of the whole: one minus the rest would be zero.
  const std::vector<float> logits = {40.0F, 40.0F, 0.0F, -1.0F};
  stats::LogitRow row;
  stats::read_logits(logits, row);
  const double expected = std::log(1 + std::exp(-1.0)) - (40 + std::log(2.0));
  CHECK(row.tail_logprob(std::vector<std::int32_t>{0, 1}) == Approx(expected));
}

TEST_CASE("asking for a tail leaves the row as it was, repeated ids count once") {
  const auto logits = random_logits(100, 1.0F);
  stats::LogitRow row;
  stats::read_logits(logits, row);
  const auto weights = row.weights;
  const float once = row.tail_logprob(std::vector<std::int32_t>{3, 5});
  CHECK(row.tail_logprob(std::vector<std::int32_t>{5, 3, 5, 3}) == once);
  CHECK(row.weights == weights);
  std::vector<std::int32_t> all(100);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::int32_t>(i);
  CHECK(row.tail_logprob(all) == -kInfinity);
}

TEST_CASE("equal logits: the first is the best, and the gap is zero") {
  std::vector<float> logits(40, -2.0F);
  logits[17] = logits[33] = 1.5F;
  stats::LogitRow row;
  stats::read_logits(logits, row);
  CHECK(row.best == 17);
  CHECK(row.gap(17) == 0.0F);
  CHECK(row.gap(33) == 0.0F);
  CHECK(row.top(3) == std::vector<std::int32_t>{17, 33, 0});
}

TEST_CASE("the two largest are found wherever they stand") {
  for (std::size_t first = 0; first < 37; ++first) {
    for (std::size_t second = 0; second < 37; ++second) {
      if (first == second) continue;
      std::vector<float> logits(37, -1.0F);
      logits[first] = 9.0F;
      logits[second] = 4.0F;
      stats::LogitRow row;
      stats::read_logits(logits, row);
      CHECK(row.best == static_cast<std::int32_t>(first));
      CHECK(row.gap(row.best) == 5.0F);
    }
  }
}

TEST_CASE("masked logits have no mass, a NaN spoils the row") {
  std::vector<float> logits = {0.0F, -kInfinity, 0.0F};
  stats::LogitRow row;
  stats::read_logits(logits, row);
  CHECK(row.logprob(1) == -kInfinity);
  CHECK(row.logprob(0) == Approx(std::log(0.5)));
  for (const std::size_t count : {3UL, 64UL}) {
    std::vector<float> broken(count, 1.0F);
    broken[2] = std::nanf("");
    stats::read_logits(broken, row);
    CHECK(row.best == 2);
    CHECK(std::isnan(row.logprob(0)));
    CHECK(std::isnan(row.gap(0)));
    CHECK(std::isnan(row.tail_logprob(std::vector<std::int32_t>{0})));
  }
}
