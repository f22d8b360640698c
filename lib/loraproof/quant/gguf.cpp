// SPDX-License-Identifier: Apache-2.0
#include "loraproof/quant/gguf.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "loraproof/quant/gguf_blocks.h"

namespace loraproof::quant {
namespace {

struct Format {
  GgufType type;
  std::string_view name;
  std::int64_t values;  // in a block
  std::int64_t bytes;
  void (*encode)(BlockValues, BlockBytes);
  void (*decode)(StoredBytes, std::span<float>);
  GgufType fallback;  // for rows that are no whole number of blocks
};

void encode_f16(BlockValues values, BlockBytes bytes) { put_f16(bytes, 0, values[0]); }
void decode_f16(StoredBytes bytes, std::span<float> values) { values[0] = get_f16(bytes, 0); }

// Sizes: ggml-common.h; fallbacks: llama-quant.cpp, tensor_type_fallback.
using T = GgufType;
constexpr std::array kFormats = {
    Format{T::Q8_0, "Q8_0", 32, 34, encode_q8_0, decode_q8_0, T::F16},
    Format{T::Q4_0, "Q4_0", 32, 18, encode_q4_0, decode_q4_0, T::F16},
    Format{T::Q4_1, "Q4_1", 32, 20, encode_q4_1, decode_q4_1, T::F16},
    Format{T::Q5_0, "Q5_0", 32, 22, encode_q5_0, decode_q5_0, T::F16},
    Format{T::Q5_1, "Q5_1", 32, 24, encode_q5_1, decode_q5_1, T::F16},
    Format{T::Q4_K, "Q4_K", 256, 144, encode_q4_k, decode_q4_k, T::Q5_0},
    Format{T::Q5_K, "Q5_K", 256, 176, encode_q5_k, decode_q5_k, T::Q5_1},
    Format{T::Q6_K, "Q6_K", 256, 210, encode_q6_k, decode_q6_k, T::Q8_0},
    Format{T::F16, "F16", 1, 2, encode_f16, decode_f16, T::F16},
};

const Format& format_of(GgufType type, std::int64_t columns) {
  const Format* format = kFormats.data();
  while (format->type != type) ++format;
  return columns % format->values == 0 ? *format : format_of(format->fallback, columns);
}

class Gguf final : public Quantiser {
 public:
  Gguf(const Shape& shape, GgufType type)
      : Quantiser(shape), asked_(type), format_(format_of(type, shape.columns)) {}

  io::DType result_dtype() const override { return io::DType::F32; }
  std::string_view stored_as() const override {
    return format_.type == asked_ ? std::string_view{} : format_.name;
  }
  std::uint64_t stored_bytes() const override {
    return static_cast<std::uint64_t>(shape().rows * shape().columns / format_.values *
                                      format_.bytes);
  }

 private:
  void run(const Block& block, Tally& tally, Stored* stored) const override {
    std::array<std::uint8_t, 256> room;
    const std::span bytes(room.data(), static_cast<std::size_t>(format_.bytes));
    const auto count = static_cast<std::size_t>(format_.values);
    for (std::size_t at = 0; at < block.values.size(); at += count) {
      const std::span values = block.values.subspan(at, count);
      std::int64_t finite = 0;
      for (const float value : values) finite += std::isfinite(value) ? 1 : 0;
      format_.encode(values, bytes);
      format_.decode(bytes, values);
      for (const float value : values) finite -= std::isfinite(value) ? 1 : 0;
      tally.overflowed += std::max<std::int64_t>(0, finite);  // a scale beyond F16
      if (stored != nullptr) stored->codes.insert(stored->codes.end(), bytes.begin(), bytes.end());
    }
  }

  GgufType asked_;
  const Format& format_;
};

}  // namespace

std::unique_ptr<Quantiser> make_gguf(const Shape& shape, GgufType type) {
  return std::make_unique<Gguf>(shape, type);
}

}  // namespace loraproof::quant
