// SPDX-License-Identifier: Apache-2.0
// What torchao says of its tensors in the headers of safetensors files: `__metadata__` holds
// tensor_names (a JSON list) and, under each of those names, a JSON text with the tensor's class
// (_type), the attributes of that class (_data) and the names of its parts (_tensor_data_names).
// transformers writes the whole of it into every shard. Private to candidate/. Source: torchao
// 0.18 prototype/safetensors, transformers 5.23 quantizers/quantizer_torchao.py.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "loraproof/core/json.h"
#include "loraproof/io/checkpoint.h"

namespace loraproof::candidate {

/// The class of a tensor that torchao left as it was.
inline constexpr std::string_view kPlainTensor = "Tensor";

/// Hint of errors about descriptions.
inline constexpr const char* kDescriptionHint =
    "the header is damaged, or of another torchao: save the model again with torchao 0.18";

struct TorchaoTensor {
  std::string name;   ///< "model.layers.0.mlp.up_proj.weight"
  std::string file;   ///< Whose header describes it.
  std::string where;  ///< File and name, for errors about the description.
  std::string type;   ///< "Float8Tensor", or kPlainTensor
  Json description;
  std::vector<std::string> parts;  ///< "qdata", "scale"; none of a plain tensor.
};

/// All that the headers describe, sorted by name. An input Error where no header describes
/// anything, a description is missing or malformed, or two shards contradict each other.
[[nodiscard]] std::vector<TorchaoTensor> torchao_tensors(const io::Checkpoint& checkpoint);

}  // namespace loraproof::candidate
