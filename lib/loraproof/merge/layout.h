// SPDX-License-Identifier: Apache-2.0
// Which modules a checkpoint holds, from the names and shapes of its tensors alone: a merge needs
// no forward, so it takes families that the engine does not know.
#pragma once

#include <map>
#include <string>

#include "loraproof/adapter/base_modules.h"
#include "loraproof/core/json.h"
#include "loraproof/io/checkpoint.h"
#include "loraproof/io/safetensors.h"

namespace loraproof::merge {

struct StoredModule {
  std::string weight;  ///< name of the tensor; of a tied head, that of the embedding
  std::string bias;    ///< "": none
  /// Stored as [in, out] (transformers' Conv1D): what PEFT adds is transposed as well.
  bool transposed = false;
};

struct BaseLayout {
  adapter::BaseModules modules;  ///< by the path that PEFT uses
  std::map<std::string, StoredModule> stored;
  std::string head;  ///< path of a head without a tensor of its own, tied to `embedding`; or ""
  std::string embedding;  ///< path of the input embedding; "" where there is none
  std::string prefix;     ///< what PEFT's paths have before the stored names ("transformer"), or ""
};

/// `config`: config.json. `adapter`: its keys tell what the stored names lack, and which modules
/// are embeddings. 2-D weights are linear layers or embeddings, 1-D ones norms; others are no
/// modules. Input Error for a quantised base (quantization_config).
[[nodiscard]] BaseLayout layout_of(const io::Checkpoint& base, const Json& config,
                                   const io::SafetensorsFile& adapter);

}  // namespace loraproof::merge
