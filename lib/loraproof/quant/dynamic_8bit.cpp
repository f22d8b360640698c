// SPDX-License-Identifier: Apache-2.0
#include "loraproof/quant/dynamic_8bit.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace loraproof::quant {
namespace {

constexpr int kExponents = 7;
constexpr int kSteps = 65536;  // of the table that finds a code

// As torch.linspace(0.1, 1, count) in f32: from both ends, with one step. Product and sum are
// rounded once, as in its vector code for AVX2 and AVX-512; a processor without gives other last
// bits.
std::vector<float> linspace(int count) {
  const float start = 0.1F, end = 1.0F;
  const float step = (end - start) / static_cast<float>(count - 1);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    values[static_cast<std::size_t>(i)] =
        i < count / 2 ? std::fma(step, static_cast<float>(i), start)
                      : std::fma(-step, static_cast<float>(count - 1 - i), end);
  }
  return values;
}

std::array<float, 256> make_levels() {
  std::vector<float> levels{0.0F, 1.0F};
  for (int exponent = 0; exponent < kExponents; ++exponent) {
    const std::vector<float> edges = linspace((1 << exponent) + 1);
    // Python: a power of ten in f64, times a mean in f32; the product is f32.
    const auto power = static_cast<float>(std::pow(10.0, exponent - (kExponents - 1)));
    for (std::size_t i = 0; i + 1 < edges.size(); ++i) {
      const float mean = (edges[i] + edges[i + 1]) / 2.0F;
      levels.push_back(power * mean);
      levels.push_back(-power * mean);
    }
  }
  std::sort(levels.begin(), levels.end());
  std::array<float, 256> result{};
  std::copy(levels.begin(), levels.end(), result.begin());
  return result;
}

// Code of the step that a value in -1..1 falls into.
const std::vector<std::uint8_t>& step_codes() {
  static const std::vector<std::uint8_t> table = [] {
    const auto& levels = dynamic_levels();
    std::vector<std::uint8_t> codes(kSteps);
    std::size_t code = 0;
    for (int i = 0; i < kSteps; ++i) {
      const float value = -1.0F + 2.0F * static_cast<float>(i) / static_cast<float>(kSteps - 1);
      while (code < 255 && 0.5F * (levels[code] + levels[code + 1]) < value) ++code;
      codes[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(code);
    }
    return codes;
  }();
  return table;
}

}  // namespace

const std::array<float, 256>& dynamic_levels() {
  static const std::array<float, 256> levels = make_levels();
  return levels;
}

float quantise_dynamic(std::span<const float> values, std::span<std::uint8_t> codes) {
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::fabs(value));
  if (largest == 0) {
    std::fill(codes.begin(), codes.end(), std::uint8_t{0});
    return 0;
  }
  const std::vector<std::uint8_t>& table = step_codes();
  const float inverse = 1.0F / largest;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float unit = std::clamp(values[i] * inverse, -1.0F, 1.0F);
    // NaN, of a matrix that is not finite, is no index.
    const float step = (unit + 1.0F) * 0.5F * static_cast<float>(kSteps - 1) + 0.5F;
    codes[i] = step >= 0 ? table[static_cast<std::uint16_t>(step)] : std::uint8_t{0};
  }
  return largest;
}

}  // namespace loraproof::quant
