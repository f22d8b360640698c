// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/categorical.h"

#include <algorithm>
#include <boost/math/special_functions/gamma.hpp>
#include <cmath>
#include <vector>

#include "loraproof/core/error.h"
#include "loraproof/stats/count_tails.h"

namespace loraproof::stats {
namespace {

struct Cell {
  std::int64_t a = 0;
  std::int64_t b = 0;
  [[nodiscard]] std::int64_t both() const { return a + b; }
};

// The categories that occur, the commonest first.
std::vector<Cell> occurring(std::span<const std::int64_t> reference,
                            std::span<const std::int64_t> window) {
  if (reference.size() != window.size())
    throw internal_error({.message = "two sets of categories of different size"});
  std::vector<Cell> cells;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    if (reference[i] < 0 || window[i] < 0) throw internal_error({.message = "a count below 0"});
    if (reference[i] + window[i] > 0) cells.push_back({reference[i], window[i]});
  }
  std::ranges::stable_sort(cells, std::ranges::greater{}, &Cell::both);
  return cells;
}

// Merges the rarest cells until every cell expects enough; returns how many went together.
std::size_t pool(std::vector<Cell>& cells, double smaller_side, double least_expected) {
  const auto few = [&](const Cell& cell) {
    return static_cast<double>(cell.both()) * smaller_side < least_expected;
  };
  if (cells.empty() || !few(cells.back())) return 0;
  Cell rest;
  std::size_t pooled = 0;
  while (!cells.empty() && (few(cells.back()) || few(rest))) {
    rest.a += cells.back().a;
    rest.b += cells.back().b;
    cells.pop_back();
    ++pooled;
  }
  cells.push_back(rest);
  return pooled;
}

double chi_square_of(std::span<const Cell> cells, double n, double m) {
  double sum = 0;
  for (const Cell& cell : cells) {
    const double share = static_cast<double>(cell.both()) / (n + m);
    const double off1 = static_cast<double>(cell.a) - n * share;
    const double off2 = static_cast<double>(cell.b) - m * share;
    sum += off1 * off1 / (n * share) + off2 * off2 / (m * share);
  }
  return sum;
}

}  // namespace

std::optional<CategoricalTest> compare_categories(std::span<const std::int64_t> reference,
                                                  std::span<const std::int64_t> window,
                                                  const CategoricalOptions& options) {
  std::vector<Cell> cells = occurring(reference, window);
  Cell all;
  for (const Cell& cell : cells) {
    all.a += cell.a;
    all.b += cell.b;
  }
  if (all.a == 0 || all.b == 0) return std::nullopt;
  const auto n = static_cast<double>(all.a), m = static_cast<double>(all.b);
  CategoricalTest test;
  test.categories = cells.size();
  const Cell commonest = cells.front();
  test.pooled = pool(cells, std::min(n, m) / (n + m), options.least_expected);
  if (cells.size() == 1 && test.categories > 1) {
    test.exact = true;
    cells = {commonest, {all.a - commonest.a, all.b - commonest.b}};
    test.pooled = test.categories - 1;
  }
  test.tested = cells.size();
  test.degrees_of_freedom = static_cast<double>(cells.size() - 1);
  if (cells.size() == 1) return test;
  test.chi_square = chi_square_of(cells, n, m);
  test.cramers_v = std::min(1.0, std::sqrt(test.chi_square / (n + m)));
  test.p = test.exact ? fisher_mid_p({commonest.a, all.a, commonest.b, all.b})
                      : boost::math::gamma_q(test.degrees_of_freedom / 2, test.chi_square / 2);
  return test;
}

}  // namespace loraproof::stats
