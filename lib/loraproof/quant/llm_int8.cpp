// SPDX-License-Identifier: Apache-2.0
#include "loraproof/quant/llm_int8.h"

#include <cmath>

#include "loraproof/quant/working_type.h"

namespace loraproof::quant {
namespace {

constexpr float kInverse127 = 7.874015718698502e-3F;  // as written in bitsandbytes/_ops.py

class LlmInt8 final : public Quantiser {
 public:
  explicit LlmInt8(const Shape& shape) : Quantiser(shape) {}

  io::DType result_dtype() const override { return io::DType::F32; }

  std::uint64_t stored_bytes() const override {
    return static_cast<std::uint64_t>(shape().rows) *
           (static_cast<std::uint64_t>(shape().columns) + sizeof(float));
  }

 private:
  void run(const Block& block, Tally& tally, Stored* stored) const override {
    const auto columns = static_cast<std::size_t>(shape().columns);
    for (std::size_t at = 0; at < block.values.size(); at += columns)
      run_row(block.values.subspan(at, columns), tally, stored);
  }

  static void run_row(std::span<float> row, Tally& tally, Stored* stored) {
    std::int64_t infinite = 0;
    for (const float value : row) infinite -= std::isinf(value) ? 1 : 0;
    round_to(io::DType::F16, row);
    for (const float value : row) infinite += std::isinf(value) ? 1 : 0;
    tally.overflowed += infinite;
    const float largest = largest_magnitude(row);
    const float inverse = 1.0F / largest * 127.0F;  // a number / tensor is two operations in torch
    for (float& value : row) {
      // 0 * inf of a row of zeros is NaN, whose integer is 0.
      const float code = nearest_integer(value * inverse);
      value = std::isnan(code) ? 0 : code + 0.0F;
    }
    if (stored != nullptr) {
      stored->scales.push_back(largest);
      for (const float code : row)
        stored->codes.push_back(static_cast<std::uint8_t>(static_cast<std::int8_t>(code)));
    }
    for (float& value : row) value = value * largest * kInverse127;
  }
};

}  // namespace

std::unique_ptr<Quantiser> make_llm_int8(const Shape& shape) {
  return std::make_unique<LlmInt8>(shape);
}

}  // namespace loraproof::quant
