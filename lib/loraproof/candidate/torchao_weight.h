// SPDX-License-Identifier: Apache-2.0
// One quantised weight of a torchao checkpoint while it is read: its parts, its attributes, and how
// its scales lie. Weights of more than two dimensions (stacked experts) are matrices whose rows are
// those of all of them. Private to candidate/.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/candidate/reading.h"
#include "loraproof/candidate/scaled_codes.h"
#include "loraproof/candidate/torchao_header.h"

namespace loraproof::candidate {

class TorchaoWeight {
 public:
  /// Names of parts that the class has, and of those that it has in some checkpoints.
  struct Parts {
    std::initializer_list<std::string_view> required;
    std::initializer_list<std::string_view> optional = {};
  };
  /// An input Error where the description lacks a part or lists one that is not in `parts`. Holds
  /// references to `reading` and `tensor`.
  TorchaoWeight(Reading& reading, const TorchaoTensor& tensor, const Parts& parts);

  [[nodiscard]] const Reading& reading() const { return reading_; }
  /// _data of the description.
  [[nodiscard]] const JsonObject& data() const { return data_; }

  /// The part; an input Error where it is missing or of another type.
  [[nodiscard]] const io::TensorView& part(std::string_view part,
                                           std::initializer_list<io::DType> types) const;
  /// The same, or nullptr where the description does not list it.
  [[nodiscard]] const io::TensorView* find_part(std::string_view part,
                                                std::initializer_list<io::DType> types) const;
  /// qdata, of two dimensions or more, none of them empty.
  [[nodiscard]] const io::TensorView& codes(std::initializer_list<io::DType> types) const;

  /// The type under a key of the attributes, as torch calls it: "bfloat16".
  [[nodiscard]] std::string type_name(std::string_view key) const;
  /// One of F32, F16 and BF16.
  [[nodiscard]] io::DType float_type(std::string_view key) const;
  /// Whole numbers of at least 1.
  [[nodiscard]] std::vector<std::int64_t> sizes(std::string_view key) const;

  /// A matrix of these sizes (the last is the row) whose scales are shared by blocks of block_size.
  /// An input Error where the blocks do not fill the weight or are no runs of its rows.
  [[nodiscard]] ScaledCodes blocked(const std::vector<std::int64_t>& shape,
                                    const std::vector<std::int64_t>& block) const;

  /// Adds a weight of that matrix, and the parts. `method`: "float8 channel".
  void add(const ScaledCodes& matrix, const std::vector<std::int64_t>& shape,
           const std::string& method, std::initializer_list<const io::TensorView*> parts);
  /// The same for a weight that decodes in another way.
  void add(std::function<void(std::int64_t, std::int64_t, float*)> decode,
           const std::vector<std::int64_t>& shape, const std::string& method,
           std::initializer_list<const io::TensorView*> parts);

 private:
  [[nodiscard]] std::string name_of(std::string_view part) const;
  [[nodiscard]] bool lists(std::string_view part) const;
  void check_parts(const Parts& parts) const;

  Reading& reading_;
  const TorchaoTensor& tensor_;
  JsonObject data_;
};

/// The sizes of the grid of scales: one for each block. Blocks divide the shape.
[[nodiscard]] std::vector<std::int64_t> grid_of(const std::vector<std::int64_t>& shape,
                                                const std::vector<std::int64_t>& block);

// NVFP4Tensor and MXTensor.
void read_torchao_nvfp4(Reading& reading, const TorchaoTensor& tensor);
void read_torchao_mx(Reading& reading, const TorchaoTensor& tensor);

}  // namespace loraproof::candidate
