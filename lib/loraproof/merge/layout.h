// SPDX-License-Identifier: Apache-2.0
// Which modules a checkpoint holds, from the names and shapes of its tensors alone: a merge needs
// no forward, so it takes families that the engine does not know.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "loraproof/adapter/base_modules.h"
#include "loraproof/core/json_fwd.h"
#include "loraproof/io/checkpoint.h"
#include "loraproof/io/safetensors.h"

namespace loraproof::merge {

/// Where an expert's part of a stacked parameter lies: rows [first, first + rows) of its matrix are
/// the rows of a tensor of their own.
struct StoredPiece {
  std::string tensor;
  std::int64_t first = 0;
  std::int64_t rows = 0;
};

struct StoredModule {
  std::string weight;  ///< name of the tensor; of a tied head, that of the embedding
  std::string bias;    ///< "": none
  /// Stored as [in, out] (transformers' Conv1D): what PEFT adds is transposed as well.
  bool transposed = false;
  /// A stacked parameter whose experts have tensors of their own, by expert; else it lies in
  /// `weight` as in memory.
  std::vector<std::vector<StoredPiece>> pieces;
};

struct BaseLayout {
  adapter::BaseModules modules;  ///< by the path that PEFT uses
  std::map<std::string, StoredModule> stored;
  std::string head;  ///< path of a head without a tensor of its own, tied to `embedding`; or ""
  std::string embedding;  ///< path of the input embedding; "" where there is none
  /// Rows of the embedding in the output: more than the base has where the adapter resized it.
  std::int64_t vocab_size = 0;
  bool resized = false;
  std::string prefix;  ///< what PEFT's paths have before the stored names ("transformer"), or ""
};

/// `config`: config.json. `adapters`, at least one: their keys tell what the stored names lack, and
/// which modules are embeddings or convolutions. 2-D weights are linear layers or embeddings, 1-D
/// ones norms. Experts are listed as the stacked parameters that transformers 5 has in memory,
/// however they are stored. An embedding that the adapter holds with another number of tokens has
/// that number. Input Error for a quantised base (quantization_config).
[[nodiscard]] BaseLayout layout_of(const io::Checkpoint& base, const Json& config,
                                   const std::vector<const io::SafetensorsFile*>& adapters);

}  // namespace loraproof::merge
