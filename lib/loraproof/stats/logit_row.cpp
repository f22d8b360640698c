// SPDX-License-Identifier: Apache-2.0
#include "loraproof/stats/logit_row.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

namespace loraproof::stats {
namespace {

// Sums and maxima run in 16 lanes side by side, which compilers turn into vector registers; f32
// partial sums are added up in f64 before they grow long.
constexpr std::size_t kLanes = 16;
constexpr std::size_t kBlock = 4096;
constexpr float kLowest = -std::numeric_limits<float>::infinity();

// exp(x) for x <= 0 within 2 units in the last place, NaN for NaN; below -87 it is 0. Range
// reduction and polynomial as in Cephes expf.
[[gnu::always_inline]] inline float exp_negative(float x) {
  const float clamped = x < -87.0F ? -87.0F : x;
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer
  const float shifted = clamped * 1.44269504088896341F + kRound;
  const float n = shifted - kRound;
  const float r = (clamped - n * 0.693359375F) - n * -2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  // n + 127 as the exponent's bits; the low bits of `shifted` hold n.
  const std::uint32_t exponent = (std::bit_cast<std::uint32_t>(shifted) + 127U) << 23;
  const float scaled = p * std::bit_cast<float>(exponent);
  return x < -87.0F ? 0.0F : scaled;
}

struct Largest {
  float first = kLowest, second = kLowest;
  void add(float x) {
    second = std::max(second, std::min(first, x));
    first = std::max(first, x);
  }
};

[[gnu::always_inline]] inline Largest two_largest_lanes(const float* x, std::size_t count) {
  float first[kLanes], second[kLanes];
  for (std::size_t j = 0; j < kLanes; ++j) first[j] = second[j] = kLowest;
  const std::size_t whole = count / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) {
      const float lower = first[j] < x[i + j] ? first[j] : x[i + j];
      second[j] = second[j] < lower ? lower : second[j];
      first[j] = first[j] < x[i + j] ? x[i + j] : first[j];
    }
  }
  Largest largest;
  for (std::size_t j = 0; j < kLanes; ++j) {
    largest.add(first[j]);
    largest.second = std::max(largest.second, second[j]);
  }
  for (std::size_t i = whole; i < count; ++i) largest.add(x[i]);
  return largest;
}

[[gnu::always_inline]] inline double sum_lanes(const float* x, std::size_t count) {
  double total = 0;
  for (std::size_t begin = 0; begin < count; begin += kBlock) {
    const std::size_t end = begin + kBlock < count ? begin + kBlock : count;
    float part[kLanes] = {};
    std::size_t i = begin;
    for (; i + kLanes <= end; i += kLanes)
      for (std::size_t j = 0; j < kLanes; ++j) part[j] += x[i + j];
    for (float value : part) total += value;
    for (; i < end; ++i) total += x[i];
  }
  return total;
}

[[gnu::always_inline]] inline double exp_lanes(const float* x, std::size_t count, float largest,
                                               float* weights) {
  for (std::size_t i = 0; i < count; ++i) weights[i] = exp_negative(x[i] - largest);
  return sum_lanes(weights, count);
}

// The same text once more for AVX2, chosen at run time.
#if defined(__x86_64__)
#define LORAPROOF_FOR_AVX2 [[gnu::target("avx2,fma")]]
LORAPROOF_FOR_AVX2 Largest two_largest_avx2(const float* x, std::size_t n) {
  return two_largest_lanes(x, n);
}
LORAPROOF_FOR_AVX2 double sum_avx2(const float* x, std::size_t n) { return sum_lanes(x, n); }
LORAPROOF_FOR_AVX2 double exp_avx2(const float* x, std::size_t n, float largest, float* weights) {
  return exp_lanes(x, n, largest, weights);
}
bool has_avx2() {
  static const bool supported = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return supported;
}
#else
constexpr bool has_avx2() { return false; }
constexpr auto two_largest_avx2 = two_largest_lanes;
constexpr auto sum_avx2 = sum_lanes;
constexpr auto exp_avx2 = exp_lanes;
#endif

double sum(std::span<const float> x) {
  return has_avx2() ? sum_avx2(x.data(), x.size()) : sum_lanes(x.data(), x.size());
}

}  // namespace

void read_logits(std::span<const float> logits, LogitRow& row) {
  const float* x = logits.data();
  const std::size_t count = logits.size();
  const Largest largest = has_avx2() ? two_largest_avx2(x, count) : two_largest_lanes(x, count);
  row.logits = logits;
  row.weights.resize(count);
  const double total = has_avx2() ? exp_avx2(x, count, largest.first, row.weights.data())
                                  : exp_lanes(x, count, largest.first, row.weights.data());
  row.log_sum = std::log(total);
  row.largest = largest.first;
  row.second = largest.second;
  const auto first = std::isnan(total)
                         ? std::ranges::find_if(logits, [](float v) { return std::isnan(v); })
                         : std::ranges::find(logits, largest.first);
  row.best = static_cast<std::int32_t>(first == logits.end() ? 0 : first - logits.begin());
  if (std::isnan(total)) row.second = std::numeric_limits<float>::quiet_NaN();
}

float LogitRow::logprob(std::int32_t id) const {
  return static_cast<float>(static_cast<double>(logits[static_cast<std::size_t>(id)] - largest) -
                            log_sum);
}

float LogitRow::gap(std::int32_t id) const {
  if (std::isnan(second)) return second;
  return logits[static_cast<std::size_t>(id)] - (id == best ? second : largest);
}

float LogitRow::tail_logprob(std::span<const std::int32_t> ids) {
  std::vector<float> taken;
  taken.reserve(ids.size());
  for (std::int32_t id : ids)
    taken.push_back(std::exchange(weights[static_cast<std::size_t>(id)], 0.0F));
  const double outside = sum(weights);
  // Backwards: a repeated id was taken as zero the second time.
  for (std::size_t i = ids.size(); i-- > 0;) weights[static_cast<std::size_t>(ids[i])] = taken[i];
  return static_cast<float>(std::log(outside) - log_sum);
}

std::vector<std::int32_t> LogitRow::top(std::size_t k) const {
  std::vector<std::int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto logit = [this](std::int32_t id) { return logits[static_cast<std::size_t>(id)]; };
  const auto before = [&](std::int32_t a, std::int32_t b) {
    return logit(a) != logit(b) ? logit(a) > logit(b) : a < b;
  };
  k = std::min(k, ids.size());
  const auto end = ids.begin() + static_cast<std::ptrdiff_t>(k);
  std::ranges::nth_element(ids, end, before);
  std::sort(ids.begin(), end, before);
  ids.resize(k);
  return ids;
}

}  // namespace loraproof::stats
