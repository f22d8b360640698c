// SPDX-License-Identifier: Apache-2.0
// Simulation of one weight matrix quantised by one scheme: what a library would store, and the
// values it would compute with. Bit-exact with the library that the scheme names (scheme.h), on
// CPU; tests/live/quant_live.py compares. Rows are handed over in blocks, so that a matrix never
// has to be in memory. No libtorch.
//
//   auto quantiser = find_scheme("nf4").make({rows, columns, io::DType::BF16});
//   if (quantiser->needs_survey()) for (each block) quantiser->survey(first_row, bytes);
//   for (each block) quantiser->dequantise(first_row, bytes, out, tally);
//
// A block is any number of rows (the survey's order matters not), but begins at a multiple of
// row_step(), and all but the last have a multiple of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "loraproof/io/tensor_view.h"

namespace loraproof::quant {

/// Of the weight of one linear layer, [O, I] in rows of I: what a library quantises. A stack of
/// experts is as many matrices, and a weight that a model stores as [I, O] is transposed before.
struct Shape {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  io::DType dtype = io::DType::BF16;  ///< BF16, F16 or F32
};

/// What happened to the values of the rows quantised so far.
struct Tally {
  std::int64_t values = 0;
  std::int64_t clipped = 0;     ///< beyond the last code after rounding, and set to it
  std::int64_t overflowed = 0;  ///< finite before, infinite in the type that the scheme casts to
  std::int64_t non_finite = 0;  ///< infinite or NaN in the input
};

/// What the library would store, rows appended in the order they come. Unpacked, except for GGUF.
struct Stored {
  std::vector<std::uint8_t> codes;        ///< bit pattern of each value; GGUF: the file's blocks
  std::vector<float> scales;              ///< one a block, group, row or tensor, as multiplied with
  std::vector<std::uint8_t> scale_codes;  ///< nf4-dq, fp4-dq, nvfp4 and mxfp4: of the scales
  std::vector<std::int8_t> zeros;         ///< asymmetric integers: one a group
};

/// Rows as numbers: what a scheme works on.
struct Block {
  std::int64_t first_row = 0;
  std::int64_t rows = 0;
  std::span<float> values;  // [rows, columns]
};

/// dequantise() is thread-safe, each thread with a tally of its own, once the survey is complete.
class Quantiser {
 public:
  virtual ~Quantiser() = default;
  Quantiser(const Quantiser&) = delete;
  Quantiser& operator=(const Quantiser&) = delete;

  [[nodiscard]] const Shape& shape() const { return shape_; }
  /// Type of the values that the library gives back.
  [[nodiscard]] virtual io::DType result_dtype() const { return shape_.dtype; }
  /// Bytes of codes, scales and zero points of the whole tensor in a checkpoint.
  [[nodiscard]] virtual std::uint64_t stored_bytes() const = 0;
  /// GGUF: the type that rows of this length fall back to. Otherwise empty.
  [[nodiscard]] virtual std::string_view stored_as() const { return {}; }

  /// Blocks begin at multiples of this many rows. May be more than there are.
  [[nodiscard]] virtual std::int64_t row_step() const { return 1; }

  /// True where a value depends on rows elsewhere: then each row is surveyed once, before the first
  /// is dequantised.
  [[nodiscard]] virtual bool needs_survey() const { return false; }
  /// Any number of rows at once: values are widened in pieces.
  void survey(std::int64_t first_row, std::span<const std::byte> rows);
  /// Of the whole tensor, after the survey: nf4-dq, fp4-dq {offset, nested absmax...}, fp8-tensor
  /// {scale}, nvfp4 {global scale}. Otherwise empty.
  [[nodiscard]] virtual std::vector<float> tensor_scales() const { return {}; }

  /// The values that the library computes with, in result_dtype(), one for each of `rows`.
  void dequantise(std::int64_t first_row, std::span<const std::byte> rows, std::span<std::byte> out,
                  Tally& tally, Stored* stored = nullptr) const;

 protected:
  explicit Quantiser(const Shape& shape);

 private:
  virtual void survey_block(const Block&) {}
  virtual void end_survey() {}
  /// Replaces the values of the block by the dequantised ones.
  virtual void run(const Block& block, Tally& tally, Stored* stored) const = 0;

  template <typename Visit>
  void in_chunks(std::int64_t first_row, std::span<const std::byte> rows, Visit visit) const;

  Shape shape_;
  std::int64_t surveyed_rows_ = 0;
};

}  // namespace loraproof::quant
