// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/rank_correlation.h"

#include <vector>

#include "support/catch.h"

namespace loraproof::stats {

TEST_CASE("rank correlation, with ties") {
  const std::vector<double> a = {1, 2, 3, 4, 5}, b = {10, 20, 40, 30, 1000}, c = {5, 4, 3, 2, 1};
  CHECK(spearman(a, a) == Approx(1));
  CHECK(spearman(a, c) == Approx(-1));
  CHECK(spearman(a, b) == Approx(0.9));
  // scipy.stats.spearmanr([1, 1, 2, 3, 3, 3], [2, 1, 2, 5, 4, 4])
  const std::vector<double> d = {1, 1, 2, 3, 3, 3}, e = {2, 1, 2, 5, 4, 4};
  CHECK(spearman(d, e) == Approx(0.9057894597833127));
  CHECK(spearman(a, std::vector<double>(5, 7.0)) == 0);
}

}  // namespace loraproof::stats
