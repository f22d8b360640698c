// SPDX-License-Identifier: Apache-2.0
#include "loraproof/quant/fp8_block.h"

#include <algorithm>
#include <cmath>

#include "loraproof/core/error.h"
#include "loraproof/io/small_floats.h"
#include "loraproof/quant/working_type.h"

namespace loraproof::quant {
namespace {

constexpr std::int64_t kTile = 128;

class Fp8Block final : public Quantiser {
 public:
  explicit Fp8Block(const Shape& shape) : Quantiser(shape) {
    if (shape.rows % kTile != 0 || shape.columns % kTile != 0) {
      const std::int64_t sides[] = {shape.rows, shape.columns};
      throw input_error(
          {.message = "a matrix does not divide into the tiles of this scheme",
           .expected = "multiples of 128 rows and columns",
           .found = io::shape_text(sides),
           .hint = "transformers leaves such a matrix as it is; leave the module out"});
    }
  }

  std::uint64_t stored_bytes() const override {
    const auto count = static_cast<std::uint64_t>(shape().rows * shape().columns);
    return count + count / (kTile * kTile) * sizeof(float);
  }

  std::int64_t row_step() const override { return kTile; }

 private:
  void run(const Block& block, Tally& tally, Stored* stored) const override {
    const auto columns = static_cast<std::size_t>(shape().columns);
    const std::size_t tile_values = kTile * columns;
    for (std::size_t at = 0; at < block.values.size(); at += tile_values)
      run_tiles(block.values.subspan(at, tile_values), tally, stored);
  }

  // 128 rows.
  void run_tiles(std::span<float> rows, Tally& tally, Stored* stored) const {
    const auto columns = static_cast<std::size_t>(shape().columns);
    std::vector<float> scales(columns / kTile), inverses(columns / kTile);
    for (std::size_t tile = 0; tile < scales.size(); ++tile) {
      float largest = 0;
      for (std::size_t row = 0; row < kTile; ++row)
        largest =
            std::max(largest, largest_magnitude(rows.subspan(row * columns + tile * kTile, kTile)));
      // A number / tensor is two operations in torch.
      scales[tile] = largest > 0 ? 1.0F / largest * io::kE4m3Largest : 1.0F;
      inverses[tile] = 1.0F / scales[tile];
      if (stored != nullptr) stored->scales.push_back(inverses[tile]);
    }
    for (std::size_t at = 0; at < rows.size(); at += kTile) {
      const std::size_t tile = at % columns / kTile;
      run_values(rows.subspan(at, kTile), scales[tile], inverses[tile], tally, stored);
    }
  }

  static void run_values(std::span<float> values, float scale, float inverse, Tally& tally,
                         Stored* stored) {
    const auto& floats = io::e4m3_values();
    for (float& value : values) {
      const float scaled = value * scale;
      tally.clipped += std::fabs(scaled) > 464 ? 1 : 0;  // 464 is the first that would be 480
      const std::uint8_t code =
          io::e4m3_bits(std::clamp(scaled, -io::kE4m3Largest, io::kE4m3Largest));
      if (stored != nullptr) stored->codes.push_back(code);
      value = floats[code] * inverse;
    }
  }
};

}  // namespace

bool passed_over_by_fp8_block(const Shape& shape) {
  return shape.rows % kTile != 0 || shape.columns % kTile != 0;
}

std::unique_ptr<Quantiser> make_fp8_block(const Shape& shape) {
  return std::make_unique<Fp8Block>(shape);
}

}  // namespace loraproof::quant
