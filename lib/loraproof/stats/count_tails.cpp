// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/count_tails.h"

#include <algorithm>
#include <array>
#include <boost/math/quadrature/gauss.hpp>
#include <cmath>
#include <numbers>

#include "loraproof/core/error.h"
#include "loraproof/stats/deviance.h"

namespace loraproof::stats {
namespace {

constexpr std::int64_t kLargestCount = std::int64_t{1} << 52;  // doubles hold it and its successor
constexpr double kTwoPi = 2 * std::numbers::pi;
constexpr double kNegligible = 1e-14;  // of a sum: what its cut-off may leave out
// From here on a tail is integrated. Gregory's correction leaves about (steepness, 1/deviation)^8.
constexpr double kWideDeviation = 100;
constexpr double kWideSteepness = 0.05;
constexpr double kDecay = 44;  // e^-44: where the integral ends

// ln x! - (x ln x - x + ln(2 pi x) / 2) for whole x below 16.
std::array<double, 16> small_stirling_errors() {
  std::array<double, 16> errors{};
  double factorial = 1;
  for (int i = 1; i < 16; ++i) {
    const double x = i;
    factorial *= x;
    errors[i] = std::log(factorial) - (x * std::log(x) - x + std::log(kTwoPi * x) / 2);
  }
  return errors;
}

// The same for any x from 16 and whole x below it; 0 for x = 0, which `size` below relies on.
double stirling_error(double x) {
  static const std::array<double, 16> kSmall = small_stirling_errors();
  if (x < 16) return kSmall[static_cast<std::size_t>(x)];
  const double inverse = 1 / x, square = inverse * inverse;
  // Stirling's series; the next term is 2e-3 / x^11.
  return inverse *
         (1.0 / 12 -
          square * (1.0 / 360 - square * (1.0 / 1260 - square * (1.0 / 1680 - square / 1188))));
}

// ln x! = x ln x - x + ln(2 pi size(x)) / 2 + stirling_error(x), with 0! = 1 included.
double size(double x) { return x == 0 ? 1 / kTwoPi : x; }

// A table of counts seen from its tail: with each step away from the expected table, `falling`
// cells lose one and `rising` cells gain one. kPairs is 2 for a 2 x 2 table (hypergeometric) and 1
// for a row of two cells (binomial).
template <std::size_t kPairs>
struct Table {
  std::array<double, kPairs> falling{}, rising{};
  std::array<double, kPairs> falling_expected{}, rising_expected{};
  double beyond = 0;   // how far each cell is from its expectation, at least 0
  double odds = 1;     // a step's ratio of probabilities = odds * falling / (rising + 1), by pairs
  double margins = 0;  // what the margins add to the log-probability,
  double margin_size = 1;  // but for their sizes

  // P of the table `steps` further out is exp(exponent) sqrt(margin_size / sizes). Whole steps, or
  // cells of at least 16.
  struct Parts {
    double exponent;
    double sizes;
  };
  [[nodiscard]] Parts parts(double steps) const {
    Parts result{margins, 1};
    for (std::size_t i = 0; i < kPairs; ++i) {
      const double less = falling[i] - steps, more = rising[i] + steps, off = beyond + steps;
      result.exponent -= deviance(less, falling_expected[i], -off) + stirling_error(less);
      result.exponent -= deviance(more, rising_expected[i], off) + stirling_error(more);
      result.sizes *= size(less) * size(more);
    }
    return result;
  }
  [[nodiscard]] double probability() const {
    const Parts here = parts(0);
    return std::exp(here.exponent) * std::sqrt(margin_size / here.sizes);
  }

  // P one step further out, over P here; then stands there.
  double step() {
    double up = odds, down = 1;
    for (std::size_t i = 0; i < kPairs; ++i) {
      up *= falling[i]--;
      down *= ++rising[i];
    }
    return up / down;
  }
};

// Sum of P(table k steps further out) / P(table), k = 0, 1, 2, ...: all ratios shrink outwards, so
// the rest is less than a geometric series. In blocks, whose divisions do not wait for each other;
// past the last possible table, where a falling cell is 0, all terms are 0.
template <std::size_t kPairs>
double sum_outwards(const Table<kPairs>& table) {
  constexpr int kBlock = 8;
  double term = 1, sum = 1;
  for (double first = 0;; first += kBlock) {
    std::array<double, kBlock> ratios{};
    for (int i = 0; i < kBlock; ++i) {
      const double steps = first + i;
      double up = table.odds, down = 1;
      for (std::size_t pair = 0; pair < kPairs; ++pair) {
        up *= table.falling[pair] - steps;
        down *= table.rising[pair] + steps + 1;
      }
      ratios[i] = up / down;
    }
    for (const double ratio : ratios) sum += term *= ratio;
    const double last = ratios.back();
    if (term <= 0 || term * last < kNegligible * sum * (1 - last)) return sum;
  }
}

// The same as an integral and Gregory's correction by differences at its end.
template <std::size_t kPairs>
double integrate_outwards(const Table<kPairs>& table, double variance, double steepness) {
  const auto here = table.parts(0);
  const double reach =
      2 * kDecay / (steepness + std::sqrt(steepness * steepness + 2 * kDecay / variance));
  // Between a bell and an exponential, e^-44 at its end: 30 points leave less than 1e-16.
  double integral = boost::math::quadrature::gauss<double, 30>::integrate(
      [&](double steps) {
        const auto there = table.parts(steps);
        return std::exp(there.exponent - here.exponent) * std::sqrt(here.sizes / there.sizes);
      },
      0.0, reach);
  std::array<double, 7> differences{1};
  Table<kPairs> walker = table;
  for (std::size_t i = 1; i < differences.size(); ++i)
    differences[i] = differences[i - 1] * walker.step();
  for (std::size_t order = 1; order < differences.size(); ++order)
    for (std::size_t i = differences.size() - 1; i >= order; --i)
      differences[i] -= differences[i - 1];
  constexpr std::array<double, 7> kGregory = {0.5,       -1.0 / 12,      1.0 / 24,     -19.0 / 720,
                                              3.0 / 160, -863.0 / 60480, 275.0 / 24192};
  for (std::size_t i = 0; i < kGregory.size(); ++i) integral += kGregory[i] * differences[i];
  return integral;
}

// P(this table or one further out) / P(this table).
template <std::size_t kPairs>
double outwards(const Table<kPairs>& table) {
  double curvature = 0;
  for (std::size_t i = 0; i < kPairs; ++i)
    curvature += 1 / table.falling_expected[i] + 1 / table.rising_expected[i];
  if (curvature * kWideDeviation * kWideDeviation > 1) return sum_outwards(table);
  Table<kPairs> walker = table;
  const double steepness = -std::log(walker.step());
  if (steepness > kWideSteepness) return sum_outwards(table);
  return integrate_outwards(table, 1 / curvature, std::max(steepness, 0.0));
}

template <std::size_t kPairs>
CountTails tails(const Table<kPairs>& table, bool below) {
  CountTails result;
  result.point = table.probability();
  const double ratio = outwards(table);
  const double outer = std::min(result.point * ratio, 1.0);
  const double inner = std::min(1 - result.point * (ratio - 1), 1.0);
  result.lower = below ? outer : inner;
  result.upper = below ? inner : outer;
  return result;
}

double real(std::int64_t count) { return static_cast<double>(count); }

Table<2> hypergeometric_table(const Draw& draw, std::int64_t k, bool& below) {
  const std::int64_t unmarked = draw.total - draw.marked, left = draw.total - draw.drawn;
  const double total = real(draw.total);
  // Drawn and marked with neither; marked but not drawn with drawn but not marked.
  const std::array<double, 2> equal = {real(k), real(unmarked - (draw.drawn - k))};
  const std::array<double, 2> unequal = {real(draw.marked - k), real(draw.drawn - k)};
  const std::array<double, 2> equal_expected = {real(draw.marked) * real(draw.drawn) / total,
                                                real(unmarked) * real(left) / total};
  const std::array<double, 2> unequal_expected = {real(draw.marked) * real(left) / total,
                                                  real(unmarked) * real(draw.drawn) / total};
  const __int128 off =
      static_cast<__int128>(draw.marked) * draw.drawn - static_cast<__int128>(k) * draw.total;
  below = off >= 0;
  Table<2> table;
  table.falling = below ? equal : unequal;
  table.rising = below ? unequal : equal;
  table.falling_expected = below ? equal_expected : unequal_expected;
  table.rising_expected = below ? unequal_expected : equal_expected;
  table.beyond = static_cast<double>(below ? off : -off) / total;
  table.margin_size = equal_expected[0] * equal_expected[1] * total / kTwoPi;
  table.margins = -stirling_error(total);
  for (const std::int64_t margin : {draw.marked, unmarked, draw.drawn, left})
    table.margins += stirling_error(real(margin));
  return table;
}

// 0 < p < 1 and 0 <= k <= n, n > 0.
Table<1> binomial_table(std::int64_t n, double p, std::int64_t k, bool& below) {
  const double off = std::fma(real(n), p, -real(k));
  below = off >= 0;
  // The smaller expectation by itself, where a difference would cancel.
  const double hits = p < 0.5 ? real(n) * p : real(k) + off;
  const double misses = p < 0.5 ? real(n - k) - off : real(n) * (1 - p);
  Table<1> table;
  table.falling = {below ? real(k) : real(n - k)};
  table.rising = {below ? real(n - k) : real(k)};
  table.falling_expected = {below ? hits : misses};
  table.rising_expected = {below ? misses : hits};
  table.beyond = std::abs(off);
  table.odds = below ? std::min((1 - p) / p, 1e300) : p / (1 - p);  // finite for any p
  table.margin_size = real(n) / kTwoPi;
  table.margins = stirling_error(real(n));
  return table;
}

void check_binomial(std::int64_t n, double p) {
  if (!(n >= 0 && n <= kLargestCount && p >= 0 && p <= 1))
    throw internal_error({.message = "not a binomial distribution"});
}

// The tails of a count that is surely `value`.
CountTails certain(std::int64_t value, std::int64_t k) {
  return {.point = k == value ? 1.0 : 0.0,
          .lower = k >= value ? 1.0 : 0.0,
          .upper = k <= value ? 1.0 : 0.0};
}

}  // namespace

double CountTails::two_sided_mid_p() const {
  return 2 * std::min(lower - point / 2, upper - point / 2);
}

CountTails hypergeometric_tails(const Draw& draw, std::int64_t k) {
  const auto [total, marked, drawn] = draw;
  if (!(total <= kLargestCount && 0 <= marked && marked <= total && 0 <= drawn && drawn <= total))
    throw internal_error({.message = "not a hypergeometric distribution"});
  const std::int64_t least = std::max<std::int64_t>(0, marked + drawn - total);
  const std::int64_t most = std::min(marked, drawn);
  if (least == most || k < least) return certain(least, k);
  if (k > most) return certain(most, k);
  bool below = false;
  const Table<2> table = hypergeometric_table(draw, k, below);
  return tails(table, below);
}

CountTails binomial_tails(std::int64_t n, double p, std::int64_t k) {
  check_binomial(n, p);
  if (n == 0 || p == 0 || k < 0) return certain(0, k);
  if (p == 1 || k > n) return certain(n, k);
  bool below = false;
  const Table<1> table = binomial_table(n, p, k, below);
  return tails(table, below);
}

double binomial_probability(std::int64_t n, double p, std::int64_t k) {
  check_binomial(n, p);
  if (n == 0 || p == 0 || k < 0) return certain(0, k).point;
  if (p == 1 || k > n) return certain(n, k).point;
  bool below = false;
  return binomial_table(n, p, k, below).probability();
}

double fisher_mid_p(const TwoShares& shares) {
  const auto [a, n, b, m] = shares;
  if (a < 0 || b < 0 || a > n || b > m) throw internal_error({.message = "not a pair of shares"});
  return hypergeometric_tails({.total = n + m, .marked = a + b, .drawn = m}, b).two_sided_mid_p();
}

}  // namespace loraproof::stats
