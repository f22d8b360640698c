// SPDX-License-Identifier: Apache-2.0
// GGUF tensors under Hugging Face names, with what llama.cpp's converter changed undone: rows of q
// and k of llama lie in the order of its rope (LlamaModel.permute of convert_hf_to_gguf.py), and
// norms of gemma are stored plus one. Values are those of gguf.quants.
#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>

#include "loraproof/candidate/gguf_names.h"
#include "loraproof/candidate/reading.h"
#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "loraproof/io/gguf.h"

namespace loraproof::candidate {
namespace {

// What differs between architectures.
struct Architecture {
  std::string_view name;
  bool permuted = false;        // q and k lie in rope order.
  bool norms_plus_one = false;  // Norm weights are stored plus one.
  bool four_norms = false;      // Norms around attention and around the MLP: gemma2, gemma3.
};

constexpr std::array kArchitectures = {
    Architecture{"llama", true, false, false},  Architecture{"qwen2", false, false, false},
    Architecture{"qwen3", false, false, false}, Architecture{"gemma", false, true, false},
    Architecture{"gemma2", false, true, true},  Architecture{"gemma3", false, true, true},
};

const Architecture& architecture_of(const io::GgufFile& gguf, const GgufSummary& summary) {
  const auto found = std::ranges::find(kArchitectures, summary.architecture, &Architecture::name);
  if (found != kArchitectures.end()) return *found;
  std::string names;
  for (const Architecture& one : kArchitectures) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", one.name);
  }
  throw input_error({.message = "architecture of the GGUF file is not read",
                     .file = gguf.file().path().string(),
                     .where = "general.architecture",
                     .expected = "one of " + names,
                     .found = brief(Json(summary.architecture)),
                     .hint = "pass the quantised model as a Hugging Face folder"});
}

// Row of the file for row `row` of Hugging Face, within heads of `head` rows: their two halves are
// interleaved in the file.
std::int64_t row_in_file(std::int64_t row, std::int64_t head) {
  const std::int64_t in_head = row % head;
  const std::int64_t half = head / 2;
  return row - in_head + 2 * (in_head % half) + in_head / half;
}

class GgufReader {
 public:
  GgufReader(const io::GgufFile& gguf, const GgufSummary& summary)
      : gguf_(gguf), summary_(summary), architecture_(architecture_of(gguf, summary)) {}

  std::vector<Weight> read() {
    if (const io::GgufValue* split = gguf_.value("split.count");
        split != nullptr && split->integer().value_or(2) > 1) {
      throw input_error({.message = "one part of a split GGUF file",
                         .file = gguf_.file().path().string(),
                         .where = "split.count",
                         .expected = "a whole file",
                         .found = "a part",
                         .hint = "join the parts with llama-gguf-split --merge"});
    }
    std::vector<Weight> weights;
    for (const io::GgufTensor& tensor : gguf_.tensors()) {
      // Factors of the rope, not a weight: computed from config.json in Hugging Face models.
      if (tensor.name == "rope_freqs.weight") continue;
      weights.push_back(weight(tensor));
    }
    return weights;
  }

 private:
  [[nodiscard]] Error error(const io::GgufTensor& tensor, std::string message, std::string expected,
                            std::string found, std::string hint = "") const {
    return input_error({.message = std::move(message),
                        .file = gguf_.file().path().string(),
                        .where = brief(Json(tensor.name), 200),
                        .expected = std::move(expected),
                        .found = std::move(found),
                        .hint = std::move(hint)});
  }

  Weight weight(const io::GgufTensor& tensor) const {
    Weight result;
    result.name = hugging_face_name(
        {.layers = summary_.num_hidden_layers, .four_norms = architecture_.four_norms},
        tensor.name);
    if (result.name.empty()) {
      throw error(tensor, "tensor has no place in this architecture",
                  fmt::format("a tensor of {} with {} layers", architecture_.name,
                              summary_.num_hidden_layers),
                  "this name", "mixtures of experts and other variants are not read");
    }
    if (tensor.type->decode_block == nullptr) {
      throw error(tensor, "ggml type is not read", io::decodable_ggml_types(),
                  std::string(tensor.type->name), "quantise the model to one of these types");
    }
    result.shape = tensor.shape;
    result.method = tensor.type->name;
    result.stored = {{&gguf_.file(), tensor.bytes}};
    const bool is_norm = result.name.ends_with("norm.weight");
    if (const std::int64_t head = head_rows(tensor, result.name); head != 0) {
      permuted(tensor, head, result);
    } else {
      plain(tensor, architecture_.norms_plus_one && is_norm ? 1.0f : 0.0f, result);
    }
    return result;
  }

  // Rows of a head where they are permuted; 0 where not.
  std::int64_t head_rows(const io::GgufTensor& tensor, std::string_view name) const {
    if (!architecture_.permuted) return 0;
    const bool query = name.find(".q_proj.") != name.npos;
    const bool key = name.find(".k_proj.") != name.npos;
    if (!query && !key) return 0;
    const std::int64_t heads = query ? summary_.num_attention_heads : summary_.num_key_value_heads;
    const std::int64_t rows = tensor.shape.front();
    if (rows % heads != 0 || rows / heads % 2 != 0) {
      throw error(tensor, "rows do not split into heads",
                  fmt::format("{} heads of an even size", heads), io::shape_text(tensor.shape),
                  "the file's attention.head_count values do not belong to its tensors");
    }
    return rows / heads;
  }

  static void plain(const io::GgufTensor& tensor, float added, Weight& weight) {
    const std::int64_t length = tensor.shape.back();
    const std::int64_t row_bytes = length / tensor.type->block_values * tensor.type->block_bytes;
    weight.decode = [&tensor, added, length, row_bytes](std::int64_t first, std::int64_t count,
                                                        float* out) {
      const std::span<float> values(out, static_cast<std::size_t>(count * length));
      io::decode_ggml(*tensor.type,
                      tensor.bytes.subspan(static_cast<std::size_t>(first * row_bytes),
                                           static_cast<std::size_t>(count * row_bytes)),
                      values);
      if (added == 0.0f) return;
      for (float& value : values) value -= added;
    };
  }

  // A matrix by rows; a vector (bias) by elements, which must then be their own blocks.
  void permuted(const io::GgufTensor& tensor, std::int64_t head, Weight& weight) const {
    const bool vector = tensor.shape.size() == 1;
    if (vector && tensor.type->block_values != 1) {
      throw error(tensor, "bias is stored in blocks", "f32, f16 or bf16",
                  std::string(tensor.type->name));
    }
    const std::int64_t length = vector ? 1 : tensor.shape.back();
    const std::int64_t row_bytes = length / tensor.type->block_values * tensor.type->block_bytes;
    weight.decode = [&tensor, vector, head, length, row_bytes](std::int64_t first,
                                                               std::int64_t count, float* out) {
      if (vector) count = tensor.shape.front();  // A vector is one row.
      for (std::int64_t row = first; row < first + count; ++row, out += length) {
        const std::int64_t at = row_in_file(row, head) * row_bytes;
        io::decode_ggml(
            *tensor.type,
            tensor.bytes.subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(row_bytes)),
            {out, static_cast<std::size_t>(length)});
      }
    };
  }

  const io::GgufFile& gguf_;
  const GgufSummary& summary_;
  const Architecture& architecture_;
};

}  // namespace

std::vector<Weight> read_gguf(const io::GgufFile& gguf, const GgufSummary& summary) {
  return GgufReader(gguf, summary).read();
}

}  // namespace loraproof::candidate
