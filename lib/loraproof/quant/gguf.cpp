// SPDX-License-Identifier: Apache-2.0
#include "loraproof/quant/gguf.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "loraproof/io/ggml_types.h"
#include "loraproof/quant/gguf_blocks.h"

namespace loraproof::quant {
namespace {

struct Format {
  GgufType type;
  void (*encode)(BlockValues, BlockBytes);
  GgufType fallback;  // for rows that are no whole number of blocks
};

void encode_f16(BlockValues values, BlockBytes bytes) { put_f16(bytes, 0, values[0]); }

// Fallbacks: llama-quant.cpp, tensor_type_fallback.
using T = GgufType;
constexpr std::array kFormats = {
    Format{T::Q8_0, encode_q8_0, T::F16},  Format{T::Q4_0, encode_q4_0, T::F16},
    Format{T::Q4_1, encode_q4_1, T::F16},  Format{T::Q5_0, encode_q5_0, T::F16},
    Format{T::Q5_1, encode_q5_1, T::F16},  Format{T::Q4_K, encode_q4_k, T::Q5_0},
    Format{T::Q5_K, encode_q5_k, T::Q5_1}, Format{T::Q6_K, encode_q6_k, T::Q8_0},
    Format{T::F16, encode_f16, T::F16},
};

const io::GgmlType& ggml_type_of(GgufType type) {
  return *io::find_ggml_type(static_cast<std::uint32_t>(type));
}

const Format& format_of(GgufType type, std::int64_t columns) {
  const Format& format = *std::ranges::find(kFormats, type, &Format::type);
  const std::int64_t block = ggml_type_of(type).block_values;
  return columns % block == 0 ? format : format_of(format.fallback, columns);
}

class Gguf final : public Quantiser {
 public:
  Gguf(const Shape& shape, GgufType type)
      : Quantiser(shape),
        asked_(type),
        format_(format_of(type, shape.columns)),
        stored_(ggml_type_of(format_.type)) {}

  io::DType result_dtype() const override { return io::DType::F32; }
  std::string_view stored_as() const override {
    return format_.type == asked_ ? std::string_view{} : stored_.name;
  }
  std::uint64_t stored_bytes() const override {
    return static_cast<std::uint64_t>(shape().rows * shape().columns) / stored_.block_values *
           stored_.block_bytes;
  }

 private:
  void run(const Block& block, Tally& tally, Stored* stored) const override {
    std::array<std::uint8_t, 256> room;
    const std::span bytes(room.data(), stored_.block_bytes);
    const std::size_t count = stored_.block_values;
    for (std::size_t at = 0; at < block.values.size(); at += count) {
      const std::span values = block.values.subspan(at, count);
      std::int64_t finite = 0;
      for (const float value : values) finite += std::isfinite(value) ? 1 : 0;
      format_.encode(values, bytes);
      io::decode_ggml(stored_, std::as_bytes(bytes), values);
      for (const float value : values) finite -= std::isfinite(value) ? 1 : 0;
      tally.overflowed += std::max<std::int64_t>(0, finite);  // a scale beyond F16
      if (stored != nullptr) stored->codes.insert(stored->codes.end(), bytes.begin(), bytes.end());
    }
  }

  GgufType asked_;
  const Format& format_;
  const io::GgmlType& stored_;
};

}  // namespace

std::unique_ptr<Quantiser> make_gguf(const Shape& shape, GgufType type) {
  return std::make_unique<Gguf>(shape, type);
}

}  // namespace loraproof::quant
