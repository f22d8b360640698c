// SPDX-License-Identifier: Apache-2.0
#include "loraproof/quant/blockwise_4bit.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "loraproof/quant/dynamic_8bit.h"
#include "loraproof/quant/working_type.h"

namespace loraproof::quant {
namespace {

constexpr std::int64_t kBlock = 64;    // values that share a scale
constexpr std::int64_t kNested = 256;  // scales that share a scale
constexpr float kSmallest = 1e-38F;    // least divisor (backends/default/ops.py)
using Levels = std::array<float, 16>;

// Rising values, and the code that each is stored as. NF4: functional.get_4bit_type; FP4: 2 bits of
// exponent, 1 of fraction, divided by 12; its two zeros are both used (code 8 above zero).
constexpr Levels kNf4 = {-1.0F,
                         -0.6961928009986877F,
                         -0.5250730514526367F,
                         -0.39491748809814453F,
                         -0.28444138169288635F,
                         -0.18477343022823334F,
                         -0.09105003625154495F,
                         0.0F,
                         0.07958029955625534F,
                         0.16093020141124725F,
                         0.24611230194568634F,
                         0.33791524171829224F,
                         0.44070982933044434F,
                         0.5626170039176941F,
                         0.7229568362236023F,
                         1.0F};
constexpr Levels kFp4 = {-12.0F / 12, -8.0F / 12,   -6.0F / 12,    -4.0F / 12,
                         -3.0F / 12,  -2.0F / 12,   -0.0625F / 12, 0.0F,
                         0.0F,        0.0625F / 12, 2.0F / 12,     3.0F / 12,
                         4.0F / 12,   6.0F / 12,    8.0F / 12,     12.0F / 12};
constexpr std::array<std::uint8_t, 16> kFp4Codes = {11, 10, 13, 12, 15, 14, 9, 0,
                                                    8,  1,  6,  7,  4,  5,  2, 3};

class BlockwiseFourBit final : public Quantiser {
 public:
  BlockwiseFourBit(const Shape& shape, const FourBitOptions& options)
      : Quantiser(shape),
        options_(options),
        levels_(options.type == FourBitType::Nf4 ? kNf4 : kFp4) {
    for (std::size_t i = 0; i < bounds_.size(); ++i) bounds_[i] = (levels_[i] + levels_[i + 1]) / 2;
    if (needs_survey()) scales_.resize(static_cast<std::size_t>(blocks()));
  }

  std::uint64_t stored_bytes() const override {
    const auto count = static_cast<std::uint64_t>(shape().rows * shape().columns);
    const auto scales = static_cast<std::uint64_t>(blocks());
    if (!needs_survey()) return (count + 1) / 2 + 4 * scales;
    const auto nested = (scales + kNested - 1) / kNested;
    return (count + 1) / 2 + scales + 4 * nested + 4 * dynamic_levels().size() + 4;
  }

  // Where a row does not end with a block.
  std::int64_t row_step() const override {
    return kBlock / std::gcd(kBlock, std::max<std::int64_t>(1, shape().columns));
  }

  bool needs_survey() const override { return options_.double_quantised; }
  std::vector<float> tensor_scales() const override { return tensor_scales_; }

 private:
  std::int64_t blocks() const { return (shape().rows * shape().columns + kBlock - 1) / kBlock; }

  // A block at the end with less than 64 values is treated differently: its scale is at least
  // kSmallest, and values are divided instead of multiplied by the inverse.
  float scale_of(std::span<const float> values) const {
    const float largest = largest_magnitude(values);
    return values.size() < kBlock ? std::max(largest, kSmallest) : largest;
  }

  template <typename Visit>
  void for_each_block(const Block& block, Visit visit) const {
    std::int64_t index = block.first_row * shape().columns / kBlock;
    for (std::size_t at = 0; at < block.values.size(); at += kBlock, ++index) {
      const std::size_t length = std::min<std::size_t>(kBlock, block.values.size() - at);
      visit(static_cast<std::size_t>(index), block.values.subspan(at, length));
    }
  }

  void survey_block(const Block& block) override {
    for_each_block(block, [&](std::size_t index, std::span<const float> values) {
      scales_[index] = scale_of(values);
    });
  }

  void end_survey() override {
    double sum = 0;
    for (const float scale : scales_) sum += scale;
    const auto offset = static_cast<float>(sum / static_cast<double>(scales_.size()));
    tensor_scales_ = {offset};
    scale_codes_.resize(scales_.size());
    for (float& scale : scales_) scale -= offset;
    const std::span scales(scales_);
    const std::span codes(scale_codes_);
    for (std::size_t at = 0; at < scales.size(); at += kNested) {
      const std::size_t length = std::min<std::size_t>(kNested, scales.size() - at);
      const float nested = quantise_dynamic(scales.subspan(at, length), codes.subspan(at, length));
      tensor_scales_.push_back(nested);
      for (std::size_t i = at; i < at + length; ++i)
        scales_[i] = dynamic_levels()[scale_codes_[i]] * nested + offset;
    }
  }

  void run(const Block& block, Tally&, Stored* stored) const override {
    for_each_block(block, [&](std::size_t index, std::span<float> values) {
      const float largest = scale_of(values);
      const float scale = needs_survey() ? scales_[index] : largest;
      std::array<std::uint8_t, kBlock> ranks;
      find_ranks(values, largest, ranks);
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = levels_[ranks[i]] * scale;
      if (stored == nullptr) return;
      stored->scales.push_back(scale);
      if (needs_survey()) stored->scale_codes.push_back(scale_codes_[index]);
      for (std::size_t i = 0; i < values.size(); ++i)
        stored->codes.push_back(options_.type == FourBitType::Nf4 ? ranks[i] : kFp4Codes[ranks[i]]);
    });
  }

  // The number of bounds below each value, which is scaled to -1..1.
  void find_ranks(std::span<const float> values, float largest,
                  std::array<std::uint8_t, kBlock>& ranks) const {
    std::array<float, kBlock> units{};
    if (values.size() == kBlock) {
      const float inverse = 1.0F / std::max(largest, kSmallest);
      for (std::size_t i = 0; i < kBlock; ++i) units[i] = values[i] * inverse;
    } else {
      for (std::size_t i = 0; i < values.size(); ++i) units[i] = values[i] / largest;
    }
    // Beyond -1 and 1 no more bounds lie: clamping would change nothing.
    std::array<std::int32_t, kBlock> counts{};
    for (const float bound : bounds_)
      for (std::size_t i = 0; i < kBlock; ++i) counts[i] += units[i] > bound ? 1 : 0;
    for (std::size_t i = 0; i < kBlock; ++i) ranks[i] = static_cast<std::uint8_t>(counts[i]);
  }

  FourBitOptions options_;
  const Levels& levels_;
  std::array<float, 15> bounds_{};
  std::vector<float> scales_;  // of the blocks: first as found, after the survey as dequantised
  std::vector<std::uint8_t> scale_codes_;
  std::vector<float> tensor_scales_;
};

}  // namespace

std::unique_ptr<Quantiser> make_blockwise_4bit(const Shape& shape, const FourBitOptions& options) {
  return std::make_unique<BlockwiseFourBit>(shape, options);
}

}  // namespace loraproof::quant
