// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/document_frequency_scan.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <random>
#include <vector>

#include "drift_oracle.h"
#include "loraproof/core/error.h"
#include "loraproof/core/json.h"

namespace loraproof::stats {
namespace {

using Counts = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("scans equal scipy's hypergeometric tails, corrections and bounds") {
  for (const Json& each : drift_oracle("scans")) {
    INFO(each.at("name").get<std::string>());
    const auto a = each.at("a").get<Counts>(), b = each.at("b").get<Counts>();
    const auto n = each.at("n").get<double>(), m = each.at("m").get<double>();
    const DocumentFrequencyScan scan =
        scan_document_frequencies(a, each.at("n"), b, each.at("m"), {.alpha = each.at("alpha")});
    const auto tested = each.at("tokens").get<std::vector<std::size_t>>();
    REQUIRE(scan.tokens.size() == tested.size());
    CHECK(scan.discoveries == each.at("discoveries").get<std::size_t>());
    check_equal(each.at("changed_share"), scan.changed_share);
    for (const TokenShift& shift : scan.tokens) {
      const auto at = std::ranges::find(tested, shift.token);
      REQUIRE(at != tested.end());
      const auto i = static_cast<std::size_t>(at - tested.begin());
      check_p(each.at("p").at(i), shift.p);
      check_p(each.at("q").at(i), shift.q);
      check_equal(each.at("standard_error").at(i), shift.standard_error);
      check_equal(static_cast<double>(b[shift.token]) / m - static_cast<double>(a[shift.token]) / n,
                  shift.difference);
    }
    CHECK(std::ranges::is_sorted(scan.tokens, {}, &TokenShift::p));
    CHECK(scan.smallest_q() == (scan.tokens.empty() ? 1 : scan.tokens.front().q));
  }
}

TEST_CASE("the order of the tokens does not matter, and swapping the sides turns the signs") {
  Counts a(500), b(500);
  std::mt19937 random(3);
  for (std::size_t i = 0; i < a.size(); ++i) {
    a[i] = static_cast<std::int64_t>(random() % 200);
    b[i] = std::min<std::int64_t>(150, a[i] / 2 + static_cast<std::int64_t>(random() % 30));
  }
  const DocumentFrequencyScan scan = scan_document_frequencies(a, 200, b, 150);
  REQUIRE(scan.discoveries > 0);
  const DocumentFrequencyScan swapped = scan_document_frequencies(b, 150, a, 200);
  CHECK(swapped.discoveries == scan.discoveries);
  CHECK(swapped.changed_share == Approx(scan.changed_share).epsilon(1e-12));
  CHECK(swapped.tokens.front().difference == -scan.tokens.front().difference);
  std::ranges::reverse(a);
  std::ranges::reverse(b);
  const DocumentFrequencyScan reversed = scan_document_frequencies(a, 200, b, 150);
  CHECK(reversed.discoveries == scan.discoveries);
  CHECK(reversed.changed_share == scan.changed_share);
  CHECK(reversed.smallest_q() == scan.smallest_q());
}

TEST_CASE("without drift a scan finds something in at most about alpha of the pairs") {
  std::mt19937 random(21);
  int alarms = 0;
  for (int pair = 0; pair < 400; ++pair) {
    Counts a, b;
    for (int token = 2; token < 150; ++token) {
      const double share = 0.8 / token;
      a.push_back(std::binomial_distribution<std::int64_t>(1000, share)(random));
      b.push_back(std::binomial_distribution<std::int64_t>(200, share)(random));
    }
    alarms += scan_document_frequencies(a, 1000, b, 200).discoveries > 0;
  }
  CHECK(alarms <= 32);  // 8 % of the pairs
}

TEST_CASE("counts that contradict their totals are internal errors") {
  CHECK_THROWS_AS(scan_document_frequencies(Counts{1}, 2, Counts{1, 2}, 2), Error);
  CHECK_THROWS_AS(scan_document_frequencies(Counts{30}, 20, Counts{1}, 20), Error);
}

TEST_CASE("how long a scan of 256k tokens takes", "[.][speed]") {
  for (const std::int64_t prompts : {10'000, 1'000'000, 100'000'000}) {
    Counts a, b;
    std::mt19937 random(1);
    for (int token = 1; token <= 256'000; ++token) {
      const double share = std::min(0.9, 10.0 / token);
      a.push_back(std::binomial_distribution<std::int64_t>(prompts, share)(random));
      b.push_back(std::binomial_distribution<std::int64_t>(prompts, share)(random));
    }
    const std::clock_t start = std::clock();  // of this process: other ones may be busy
    const DocumentFrequencyScan scan = scan_document_frequencies(a, prompts, b, prompts);
    const double time_ms = 1e3 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    std::printf("%lld prompts a side: %zu tokens tested, %zu found, %.1f ms\n",
                static_cast<long long>(prompts), scan.tokens.size(), scan.discoveries, time_ms);
  }
}

}  // namespace loraproof::stats
