// SPDX-License-Identifier: Apache-2.0
// merge.json: what a merged folder was made of. It tells honest mistakes apart (another base, a
// file that was exchanged), not a forger, who can write it anew.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "loraproof/core/json_fwd.h"
#include "loraproof/core/progress.h"
#include "loraproof/io/checkpoint.h"

namespace loraproof::merge {

struct MergedAdapter {
  std::string name;
  std::string sha256;  ///< combined digest of its tensors, as `identify` has it
  std::map<std::string, std::string> config;  ///< fields with a meaning, as `identify` has them
  double weight = 1;
};

struct Lineage {
  std::string tool_version;
  std::string base_name;
  std::string base_sha256;  ///< combined digest of its tensors
  std::vector<MergedAdapter> adapters;
  std::string dtype;
  std::string base_scheme;  ///< empty: the base as it is
  std::string combine;
  bool untied_head = false;                  ///< the output stores a head that the base ties
  std::map<std::string, std::string> files;  ///< weight file -> SHA-256 of its bytes
};

[[nodiscard]] Json to_json(const Lineage& lineage);

/// Reads merge.json of a folder; nothing where there is none, or one of another program (no schema
/// "loraproof.merge/..."). Input Error where it is of a newer version or damaged.
[[nodiscard]] std::optional<Lineage> read_lineage(const std::filesystem::path& folder);

/// What is different between the weight files of a checkpoint and those that its lineage names:
/// "model.safetensors has changed"; nothing where they are the same. Reads every byte.
[[nodiscard]] std::optional<std::string> changed_file(const Lineage& lineage,
                                                      const io::Checkpoint& checkpoint,
                                                      Progress& progress);

}  // namespace loraproof::merge
