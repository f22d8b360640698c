// SPDX-License-Identifier: Apache-2.0
#include "loraproof/quant/grouped_fp4.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include "loraproof/core/error.h"
#include "loraproof/io/narrow.h"
#include "loraproof/io/small_floats.h"
#include "loraproof/quant/working_type.h"

namespace loraproof::quant {
namespace {

struct GroupScale {
  float divisor = 1;      // of the weights
  float factor = 1;       // of the codes' values
  std::uint8_t code = 0;  // as stored
};

class GroupedFp4 : public Quantiser {
 public:
  GroupedFp4(const Shape& shape, std::int64_t group) : Quantiser(shape), group_(group) {
    if (shape.columns % group != 0) {
      throw input_error({.message = "a row does not divide into groups of this scheme",
                         .expected = "a multiple of " + std::to_string(group) + " columns",
                         .found = std::to_string(shape.columns),
                         .hint = "compressed-tensors refuses such a matrix; leave the module out"});
    }
  }

  io::DType result_dtype() const override { return io::DType::BF16; }

  std::uint64_t stored_bytes() const override {
    const auto count = static_cast<std::uint64_t>(shape().rows * shape().columns);
    return count / 2 + count / static_cast<std::uint64_t>(group_);
  }

 private:
  virtual GroupScale scale_of(std::span<const float> values) const = 0;
  /// What the division by the scale is rounded to.
  virtual io::DType quotient_dtype() const = 0;

  void run(const Block& block, Tally&, Stored* stored) const override {
    const auto group = static_cast<std::size_t>(group_);
    for (std::size_t at = 0; at < block.values.size(); at += group) {
      const std::span values = block.values.subspan(at, group);
      const GroupScale scale = scale_of(values);
      if (stored != nullptr) {
        stored->scales.push_back(scale.factor);
        stored->scale_codes.push_back(scale.code);
      }
      for (float& value : values) value /= scale.divisor;
      round_to(quotient_dtype(), values);
      for (float& value : values) {
        const std::uint8_t code = io::e2m1_bits(value);
        if (stored != nullptr) stored->codes.push_back(code);
        value = io::kE2m1Values[code] * scale.factor;
      }
    }
  }

  std::int64_t group_;
};

class Nvfp4 final : public GroupedFp4 {
 public:
  explicit Nvfp4(const Shape& shape) : GroupedFp4(shape, 16) {}

  std::uint64_t stored_bytes() const override { return GroupedFp4::stored_bytes() + sizeof(float); }
  bool needs_survey() const override { return true; }
  std::vector<float> tensor_scales() const override { return {global_}; }

 private:
  void survey_block(const Block& block) override {
    largest_ = std::max(largest_, largest_magnitude(block.values));
  }
  void end_survey() override {
    const float largest = std::max(largest_, smallest_normal_of(shape().dtype));
    // A number / tensor is two operations in torch.
    const float inverse = io::rounded_to(shape().dtype, 1.0F / largest);
    const float global =
        io::rounded_to(shape().dtype, inverse * (io::kE4m3Largest * io::kE2m1Largest));
    global_ = std::isfinite(global) ? global : 1.0F;
  }

  GroupScale scale_of(std::span<const float> values) const override {
    const float local = io::rounded_to(shape().dtype, largest_magnitude(values) / io::kE2m1Largest);
    std::uint8_t code = io::e4m3_bits(std::min(global_ * local, io::kE4m3Largest));
    if (code == 0) code = io::e4m3_bits(0.125F);  // never divide by zero
    const float factor = io::e4m3_values()[code] / global_;
    return {.divisor = factor, .factor = factor, .code = code};
  }
  io::DType quotient_dtype() const override { return io::DType::F32; }  // as the tensor's factor

  float largest_ = 0;
  float global_ = 1;
};

class Mxfp4 final : public GroupedFp4 {
 public:
  explicit Mxfp4(const Shape& shape) : GroupedFp4(shape, 32) {}

 private:
  // 127 + exponent of the largest value, rounded up from 1.75 * 2^n on, - 2 for the 4 in 6 = 1.5
  // * 4. Subnormal values have the exponent of zero, which is less than any.
  GroupScale scale_of(std::span<const float> values) const override {
    const float largest = largest_magnitude(values);
    const bool half = shape().dtype == io::DType::F16;
    int exponent = 0;
    if (half) {
      const int field = (io::f16_bits(largest) + 0x100) >> 10;
      exponent = field == 0 ? -1000 : field - 15;
    } else {
      const auto field =
          static_cast<int>((std::bit_cast<std::uint32_t>(largest) + 0x200000U) >> 23);
      exponent = field == 0 ? -1000 : field - 127;
    }
    int code = std::clamp(127 + exponent - 2, 0, 255);
    float divisor = io::rounded_to(shape().dtype, std::ldexp(1.0F, code - 127));
    // F16 has no such small power; the scale of the zero that results is 1.
    if (divisor == 0) {
      divisor = 1;
      code = 127;
    }
    return {.divisor = divisor,
            .factor = std::ldexp(1.0F, code - 127),
            .code = static_cast<std::uint8_t>(code)};
  }
  io::DType quotient_dtype() const override { return shape().dtype; }
};

}  // namespace

std::unique_ptr<Quantiser> make_nvfp4(const Shape& shape) { return std::make_unique<Nvfp4>(shape); }
std::unique_ptr<Quantiser> make_mxfp4(const Shape& shape) { return std::make_unique<Mxfp4>(shape); }

}  // namespace loraproof::quant
