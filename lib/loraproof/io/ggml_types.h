// SPDX-License-Identifier: Apache-2.0
// The element types of ggml: how many elements a block has, how many bytes, and what values they
// stand for. Source: ggml-common.h and ggml-quants.c of llama.cpp; values as gguf.quants of its
// Python package gives them, bit for bit (tests/live/candidate_live.py).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace loraproof::io {

struct GgmlType {
  std::uint32_t id;
  std::string_view name;       ///< As llama.cpp prints it: "q4_K".
  std::uint32_t block_values;  ///< Elements of a block; rows are whole blocks.
  std::uint32_t block_bytes;
  /// Values of one block; null for a type that loraproof knows by size only.
  void (*decode_block)(const std::byte* block, float* values);
};

/// The type with this number, or nullptr for a number that ggml has not given out (or has taken
/// back, as 4 and 5).
[[nodiscard]] const GgmlType* find_ggml_type(std::uint32_t id);
/// "f32, f16, q4_0, ..." : the types that can be decoded.
[[nodiscard]] std::string decodable_ggml_types();

/// Values of consecutive whole blocks: `values` holds as many elements as `bytes` has. An internal
/// Error where they do not fit, or for a type without decode_block.
void decode_ggml(const GgmlType& type, std::span<const std::byte> bytes, std::span<float> values);

}  // namespace loraproof::io
