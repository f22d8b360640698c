// SPDX-License-Identifier: Apache-2.0
// A deployment as an ordinary model folder.
#pragma once

#include <cstdint>
#include <filesystem>

#include "loraproof/core/progress.h"
#include "loraproof/deploy/deployment.h"
#include "loraproof/io/checkpoint.h"

namespace loraproof::deploy {

struct WrittenCheckpoint {
  std::int64_t changed = 0;  ///< weights that are the deployment's
  std::int64_t kept = 0;     ///< tensors that are the base's, byte for byte
};

/// Writes `base`, read from `folder`, into `out`, which exists and is empty, with the deployment's
/// weights, dequantised, in place of the base's: the same files, names, types and shapes, and what
/// lies beside the weights. Weights are rounded to the base's type, as a lane in that type computes
/// with them; quantised inputs are not in a checkpoint. Input Error when writing fails.
[[nodiscard]] WrittenCheckpoint write_checkpoint(const Deployment& deployment,
                                                 const io::Checkpoint& base,
                                                 const std::filesystem::path& folder,
                                                 const std::filesystem::path& out,
                                                 Progress& progress);

}  // namespace loraproof::deploy
