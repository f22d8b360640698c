// SPDX-License-Identifier: Apache-2.0
// What the readers of the quantisation methods share: the tensors of a checkpoint with a note of
// which are spoken for, errors that name file and tensor, and small loads. Private to candidate/.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/candidate/weight_source.h"
#include "loraproof/core/error.h"
#include "loraproof/core/json_fwd.h"
#include "loraproof/io/checkpoint.h"

namespace loraproof::candidate {

template <typename Stored>
[[nodiscard]] Stored load(std::span<const std::byte> bytes, std::int64_t index) {
  Stored value;
  std::memcpy(&value, bytes.data() + static_cast<std::size_t>(index) * sizeof(Stored),
              sizeof value);
  return value;
}

/// Element `index` of a tensor of F32, F16 or BF16.
[[nodiscard]] float float_at(const io::TensorView& view, std::int64_t index);
/// "bf16"
[[nodiscard]] std::string lower_name(io::DType dtype);

/// Reads one checkpoint of one method. A reader adds a weight for each quantised module and takes
/// the tensors that belong to it; what nobody took is a plain weight (read_plain).
class Reading {
 public:
  Reading(const io::Checkpoint& checkpoint, const JsonObject& config,
          std::optional<io::DType> compute)
      : checkpoint_(checkpoint), config_(config), compute_(compute) {}

  /// quantization_config of config.json.
  [[nodiscard]] const JsonObject& config() const { return config_; }
  [[nodiscard]] const io::Checkpoint& checkpoint() const { return checkpoint_; }
  /// The 16-bit type that config.json asks to compute in: libraries that multiply in the model's
  /// type turn their scales into it. The type of `scales` where config.json names none, or a wider
  /// one.
  [[nodiscard]] io::DType compute_type(const io::TensorView& scales) const {
    return compute_.value_or(scales.dtype);
  }

  /// Names of the modules that have a tensor of that last part: modules_with("qweight").
  [[nodiscard]] std::vector<std::string> modules_with(std::string_view part) const;
  /// The tensor, or nullptr.
  [[nodiscard]] const io::TensorView* find(const std::string& name) const {
    return checkpoint_.find(name);
  }
  /// The tensor; an input Error where it is missing or of another type.
  [[nodiscard]] const io::TensorView& need(const std::string& name,
                                           std::initializer_list<io::DType> types) const;
  /// Throws an input Error unless the tensor has that shape; `why` says where it comes from.
  void expect_shape(const io::TensorView& view, std::span<const std::int64_t> shape,
                    const std::string& why) const;
  void expect_matrix(const io::TensorView& view) const;

  [[nodiscard]] Error error(const io::TensorView& view, std::string message, std::string expected,
                            std::string found, std::string hint = "") const;

  /// Adds `weight`, whose stored bytes are those of `parts` (nullptr are passed over).
  void add(Weight weight, std::initializer_list<const io::TensorView*> parts);
  /// The tensor belongs to no weight: scales of activations and the like.
  void pass_over(const io::TensorView& view) { taken_.insert(view.name); }
  [[nodiscard]] bool is_taken(const io::TensorView& view) const {
    return taken_.contains(view.name);
  }

  [[nodiscard]] std::vector<Weight> take_weights() { return std::move(weights_); }

 private:
  const io::Checkpoint& checkpoint_;
  const JsonObject& config_;
  std::optional<io::DType> compute_;
  std::set<std::string, std::less<>> taken_;
  std::vector<Weight> weights_;
};

// One function a method, each in a file of its own. Each says which last name parts belong to it,
// so that a scale without its weight is found.
void read_gptq(Reading& reading);
void read_awq(Reading& reading);
void read_compressed_tensors(Reading& reading);
void read_bitsandbytes(Reading& reading);
void read_fp8(Reading& reading);
void read_torchao(Reading& reading);

/// Everything that is not taken yet, as floating-point weights. A name whose last part is one of
/// `parts` is an input Error: it belongs to a quantised weight that is not there.
void read_plain(Reading& reading, std::initializer_list<std::string_view> parts);

/// The weights of a GGUF file under their Hugging Face names.
[[nodiscard]] std::vector<Weight> read_gguf(const io::GgufFile& gguf, const GgufSummary& summary);

}  // namespace loraproof::candidate
