// SPDX-License-Identifier: Apache-2.0
#include "loraproof/quant/cast.h"

#include <cmath>

#include "loraproof/io/narrow.h"
#include "loraproof/quant/working_type.h"

namespace loraproof::quant {
namespace {

class Cast final : public Quantiser {
 public:
  Cast(const Shape& shape, io::DType dtype) : Quantiser(shape), dtype_(dtype) {}

  io::DType result_dtype() const override { return dtype_; }
  std::uint64_t stored_bytes() const override {
    return static_cast<std::uint64_t>(shape().rows * shape().columns) * io::size_of(dtype_);
  }

 private:
  void run(const Block& block, Tally& tally, Stored* stored) const override {
    std::int64_t infinite = 0;
    for (const float value : block.values) infinite -= std::isinf(value) ? 1 : 0;
    round_to(dtype_, block.values);
    for (const float value : block.values) infinite += std::isinf(value) ? 1 : 0;
    tally.overflowed += infinite;
    if (stored == nullptr) return;
    std::vector<std::byte> bytes(block.values.size() * io::size_of(dtype_));
    io::narrow(dtype_, block.values, bytes);
    for (const std::byte byte : bytes) stored->codes.push_back(static_cast<std::uint8_t>(byte));
  }

  io::DType dtype_;
};

}  // namespace

std::unique_ptr<Quantiser> make_cast(const Shape& shape, io::DType dtype) {
  return std::make_unique<Cast>(shape, dtype);
}

}  // namespace loraproof::quant
