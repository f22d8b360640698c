// SPDX-License-Identifier: Apache-2.0
// The weights of a candidate for deployment: a checkpoint that another library quantised. Names are
// those of Hugging Face, values are what that library's own dequantisation gives: float32, or its
// 16-bit result widened where it dequantises to 16 bit. Nothing is computed before it is asked for.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/candidate/gguf_summary.h"
#include "loraproof/core/file.h"
#include "loraproof/core/json.h"
#include "loraproof/quant/inputs.h"

namespace loraproof::candidate {

/// Some bytes of an open file.
struct StoredBytes {
  const MappedFile* file = nullptr;
  std::span<const std::byte> bytes;
};

/// One weight: what it is called, what is stored for it, and how its rows are decoded.
struct Weight {
  std::string name;                 ///< "model.layers.0.self_attn.q_proj.weight"
  std::vector<std::int64_t> shape;  ///< As Hugging Face has it: [out, in] of a linear layer.
  std::string method;               ///< "gptq int4 g128", "q4_K", "bf16"
  std::vector<StoredBytes> stored;  ///< Codes, scales and all else that belongs to it.
  quant::Inputs inputs = {};        ///< What the library does to the layer's inputs.
  /// Decodes rows first to first + count - 1 into count · shape.back() values. Thread-safe.
  std::function<void(std::int64_t first, std::int64_t count, float* out)> decode;
};

/// An open candidate. Movable. Const member functions are thread-safe.
class WeightSource {
 public:
  /// What open_candidate knows of the whole. `files` keeps open what the weights point into.
  struct About {
    std::filesystem::path path;
    std::string scheme;  ///< "gptq", "awq", ..., "gguf", or "none" for plain weights.
    Json config;         ///< config.json; null for a GGUF file.
    std::optional<GgufSummary> gguf;
    std::shared_ptr<const void> files;
  };
  WeightSource(About about, std::vector<Weight> weights);

  /// All names, sorted by bytes.
  [[nodiscard]] std::span<const std::string> names() const { return names_; }
  [[nodiscard]] bool has(std::string_view name) const { return weights_.contains(name); }
  /// Of the weight of that name; an input Error names the nearest one where there is none.
  [[nodiscard]] std::span<const std::int64_t> shape(std::string_view name) const;
  [[nodiscard]] std::uint64_t stored_bytes(std::string_view name) const;
  [[nodiscard]] const std::string& method(std::string_view name) const;
  [[nodiscard]] const quant::Inputs& inputs(std::string_view name) const;
  /// Rows of shape.back() values; a vector is one row, more dimensions are folded into rows.
  [[nodiscard]] std::int64_t row_count(std::string_view name) const;
  [[nodiscard]] std::int64_t row_length(std::string_view name) const;

  /// Decodes rows first to first + count - 1; `out` holds count · row_length values.
  void rows(std::string_view name, std::int64_t first, std::int64_t count,
            std::span<float> out) const;
  /// Advice to the kernel: the pages of this weight may go.
  void done_with(std::string_view name) const;

  [[nodiscard]] const About& about() const { return about_; }

 private:
  [[nodiscard]] const Weight& weight(std::string_view name) const;

  About about_;
  std::map<std::string, Weight, std::less<>> weights_;
  std::vector<std::string> names_;
};

/// Opens a GGUF file, or a model folder (or org/name in the local Hugging Face cache) by its
/// quantization_config. Everything that can be checked without decoding is checked here: an input
/// Error names file, tensor, what was found and expected, and what to do.
[[nodiscard]] WeightSource open_candidate(const std::string& path);

}  // namespace loraproof::candidate
