// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/divergence.h"

#include <cmath>
#include <filesystem>
#include <limits>
#include <random>
#include <vector>

#include "loraproof/core/json.h"
#include "support/catch.h"

namespace loraproof::stats {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();  // log of no mass
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> logs(std::initializer_list<double> masses) {
  std::vector<float> result;
  for (double mass : masses) result.push_back(static_cast<float>(std::log(mass)));
  return result;
}

float log_of(double mass) { return static_cast<float>(std::log(mass)); }

// A distribution of `n` bins as float64 log-probabilities.
std::vector<double> random_distribution(std::mt19937& random, std::size_t n) {
  std::normal_distribution<double> normal(0, 2);
  std::vector<double> result(n);
  double total = 0;
  for (double& x : result) total += std::exp(x = normal(random));
  for (double& x : result) x -= std::log(total);
  return result;
}

// Bins 0..k-1 as float32, and the log of the mass of all others.
struct Merged {
  std::vector<float> top;
  float tail;
};
Merged merge(const std::vector<double>& log_p, std::size_t k) {
  Merged merged;
  double rest = 0;
  for (std::size_t i = 0; i < log_p.size(); ++i) {
    if (i < k)
      merged.top.push_back(static_cast<float>(log_p[i]));
    else
      rest += std::exp(log_p[i]);
  }
  merged.tail = static_cast<float>(std::log(rest));
  return merged;
}

}  // namespace

TEST_CASE("KL of a distribution worked out by hand") {
  // 1/2 log(2) + 1/4 log(1/2) + 1/4 log(1) = 1/4 log 2
  CHECK(kl_top_k(logs({0.5, 0.25}), log_of(0.25), logs({0.25, 0.5}), log_of(0.25)) ==
        Approx(0.25 * std::log(2)).epsilon(1e-6));
  // No bin but the tail: 1 log 1.
  CHECK(kl_top_k({}, 0.0F, {}, 0.0F) == 0);
}

TEST_CASE("KL equals scipy's rel_entr in float64") {
  const Json golden = read_json_file(std::filesystem::path(LORAPROOF_SOURCE_DIR) / "golden" /
                                     "values" / "kl_top_k.json");
  REQUIRE(golden.at("cases").size() == 6);
  for (const Json& each : golden.at("cases")) {
    INFO(each.at("name").get<std::string>());
    const auto p = each.at("p").get<std::vector<float>>();
    const auto q = each.at("q").get<std::vector<float>>();
    const auto tail = [&](const char* key) {
      return each.at(key).is_null() ? kNone : each.at(key).get<float>();
    };
    const double kl = kl_top_k(p, tail("p_tail"), q, tail("q_tail"));
    // Both sum in float64; the order of the sums differs.
    CHECK(std::abs(kl - each.at("kl").get<double>()) < 1e-14);
    // float32 rounding of the inputs moves the sum by at most about k ulps of a log-probability.
    CHECK(kl <= each.at("full").get<double>() + 1e-6);
  }
}

TEST_CASE("KL is never negative, zero on itself, and a lower bound when bins are merged") {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    const auto log_p = random_distribution(random, 64);
    const auto log_q = random_distribution(random, 64);
    double before = -1;
    for (const std::size_t k : {0, 1, 8, 32, 63}) {
      const Merged p = merge(log_p, k), q = merge(log_q, k);
      const double kl = kl_top_k(p.top, p.tail, q.top, q.tail);
      CHECK(kl >= 0);
      CHECK(kl_top_k(p.top, p.tail, p.top, p.tail) == 0);
      CHECK(kl >= before - 1e-6);  // more bins never lower it, but for float32 inputs
      before = kl;
    }
    double full = 0;
    for (std::size_t i = 0; i < log_p.size(); ++i)
      full += std::exp(log_p[i]) * (log_p[i] - log_q[i]);
    CHECK(before <= full + 1e-6);
    CHECK(before == Approx(full).epsilon(0.2));  // 63 of 64 bins are nearly all of it
  }
}

TEST_CASE("rounding that would make KL negative gives zero") {
  CHECK(kl_top_k(logs({0.5}), log_of(0.5), logs({0.5000001}), log_of(0.5000001)) == 0);
}

TEST_CASE("bins without mass") {
  CHECK(kl_top_k(logs({1}), kNone, logs({1}), kNone) == 0);
  CHECK(kl_top_k(logs({1}), kNone, logs({0.5}), log_of(0.5)) == Approx(std::log(2)));
  CHECK(kl_top_k(logs({0.5}), log_of(0.5), logs({1}), kNone) == INFINITY);
  const std::vector<float> with_hole = {0.0F, kNone};
  CHECK(kl_top_k(with_hole, kNone, with_hole, kNone) == 0);
  // A mass that no float64 can hold is still mass.
  CHECK(kl_top_k(logs({1}), -2000.0F, logs({1}), kNone) == INFINITY);
}

TEST_CASE("NaN in, NaN out") {
  const std::vector<float> one = {0.0F}, bad = {kNan};
  CHECK(std::isnan(kl_top_k(bad, kNone, one, kNone)));
  CHECK(std::isnan(kl_top_k(one, kNone, bad, kNone)));
  CHECK(std::isnan(kl_top_k(one, kNan, one, kNone)));
  CHECK(std::isnan(kl_top_k(one, kNone, one, kNan)));
  // NaN is not hidden by an infinite bin.
  CHECK(std::isnan(kl_top_k(one, kNan, std::vector<float>{kNone}, kNone)));
}

}  // namespace loraproof::stats
