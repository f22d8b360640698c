// SPDX-License-Identifier: Apache-2.0
#include "loraproof/quant/scaled.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "loraproof/core/error.h"
#include "loraproof/io/narrow.h"
#include "loraproof/io/small_floats.h"
#include "loraproof/quant/working_type.h"

namespace loraproof::quant {
namespace {

struct Range {
  float low = 0;
  float high = 0;
};

Range range_of(CodeType codes) {
  switch (codes) {
    case CodeType::Int8: return {-128, 127};
    case CodeType::Int4: return {-8, 7};
    case CodeType::E4m3: break;
  }
  return {-io::kE4m3Largest, io::kE4m3Largest};
}

struct Parameters {
  float scale = 1;
  float zero = 0;
};

class Scaled final : public Quantiser {
 public:
  Scaled(const Shape& shape, const ScaledOptions& options)
      : Quantiser(shape), options_(options), range_(range_of(options.codes)) {
    if (options.per != ScalePer::Group) options_.group = std::max<std::int64_t>(1, shape.columns);
    if (shape.columns % options_.group != 0) {
      throw input_error({.message = "a row does not divide into groups of this scheme",
                         .expected = "a multiple of " + std::to_string(options_.group) + " columns",
                         .found = std::to_string(shape.columns),
                         .hint = "compressed-tensors refuses such a matrix; leave the module out"});
    }
  }

  std::uint64_t stored_bytes() const override {
    const auto rows = static_cast<std::uint64_t>(shape().rows);
    const auto columns = static_cast<std::uint64_t>(shape().columns);
    const std::uint64_t bits = options_.codes == CodeType::Int4 ? 4 : 8;
    const std::uint64_t groups = columns / static_cast<std::uint64_t>(options_.group);
    const std::uint64_t scales = options_.per == ScalePer::Tensor ? 1 : rows * groups;
    std::uint64_t bytes = scales * io::size_of(shape().dtype);
    if (!options_.packed) return bytes + rows * columns;
    bytes += rows * ((columns * bits + 31) / 32) * 4 + 2 * sizeof(std::int64_t);
    if (!options_.symmetric) bytes += (rows * bits + 31) / 32 * 4 * groups;
    return bytes;
  }

  bool needs_survey() const override { return options_.per == ScalePer::Tensor; }
  std::vector<float> tensor_scales() const override {
    return needs_survey() ? std::vector{tensor_.scale} : std::vector<float>{};
  }

 private:
  void survey_block(const Block& block) override {
    largest_ = std::max(largest_, largest_magnitude(block.values));
  }
  void end_survey() override { tensor_ = symmetric_parameters(largest_); }

  float rounded(float value) const { return io::rounded_to(shape().dtype, value); }

  Parameters symmetric_parameters(float largest) const {
    const float scale = rounded(largest / ((range_.high - range_.low) / 2));
    return {.scale = scale == 0 ? epsilon_of(shape().dtype) : scale};
  }

  Parameters parameters(std::span<const float> values) const {
    if (options_.symmetric) return symmetric_parameters(largest_magnitude(values));
    float low = 0, high = 0;  // zero is always a code
    for (const float value : values) {
      low = std::min(low, value);
      high = std::max(high, value);
    }
    const float scale = rounded(rounded(high - low) / (range_.high - range_.low));
    // Before the scale is kept from zero: 0 / 0 is NaN, which becomes 0 as an integer.
    const float zero = rounded(range_.low - rounded(low / scale));
    return {.scale = scale == 0 ? epsilon_of(shape().dtype) : scale,
            .zero = std::isnan(zero) ? 0 : nearest_integer(clamped(zero))};
  }

  float clamped(float value) const { return std::clamp(value, range_.low, range_.high); }

  void run(const Block& block, Tally& tally, Stored* stored) const override {
    const auto group = static_cast<std::size_t>(options_.group);
    for (std::size_t at = 0; at < block.values.size(); at += group) {
      const std::span values = block.values.subspan(at, group);
      const Parameters p = needs_survey() ? tensor_ : parameters(values);
      if (stored != nullptr && (!needs_survey() || (block.first_row == 0 && at == 0)))
        stored->scales.push_back(p.scale);
      if (stored != nullptr && !options_.symmetric)
        stored->zeros.push_back(static_cast<std::int8_t>(p.zero));
      for (float& value : values) value /= p.scale;
      round_to(shape().dtype, values);
      if (options_.codes == CodeType::E4m3) {
        run_floats(values, p, tally, stored);
      } else {
        run_integers(values, p, tally, stored);
      }
      round_to(shape().dtype, values);
    }
  }

  // From quotients to dequantised values, not yet rounded to the type of the weights.
  void run_integers(std::span<float> values, const Parameters& p, Tally& tally,
                    Stored* stored) const {
    if (!options_.symmetric) {
      for (float& value : values) value += p.zero;
      round_to(shape().dtype, values);
    }
    std::int32_t clipped = 0;
    for (float& value : values) {
      clipped += value >= range_.high + 0.5F || value < range_.low - 0.5F ? 1 : 0;
      const float code = nearest_integer(clamped(value));
      value = std::isnan(code) ? 0 : code + 0.0F;  // torch's integer of NaN; and no -0
    }
    tally.clipped += clipped;
    if (stored != nullptr) {
      for (const float value : values)
        stored->codes.push_back(static_cast<std::uint8_t>(static_cast<std::int8_t>(value)));
    }
    for (float& value : values) value = (value - p.zero) * p.scale;
  }

  void run_floats(std::span<float> values, const Parameters& p, Tally& tally,
                  Stored* stored) const {
    constexpr float kRoundsUp = 464;  // to 480, were there such a code
    const auto& floats = io::e4m3_values();
    for (float& value : values) {
      tally.clipped += std::fabs(value) > kRoundsUp ? 1 : 0;
      const std::uint8_t code = io::e4m3_bits(clamped(value));
      if (stored != nullptr) stored->codes.push_back(code);
      value = floats[code] * p.scale;
    }
  }

  ScaledOptions options_;
  Range range_;
  float largest_ = 0;
  Parameters tensor_;
};

}  // namespace

std::unique_ptr<Quantiser> make_scaled(const Shape& shape, const ScaledOptions& options) {
  return std::make_unique<Scaled>(shape, options);
}

}  // namespace loraproof::quant
