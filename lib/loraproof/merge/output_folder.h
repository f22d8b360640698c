// SPDX-License-Identifier: Apache-2.0
// Everything in a model folder beside the weights: what is copied, what is changed, what is left
// out.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "loraproof/io/tensor_view.h"
#include "loraproof/merge/plan.h"

namespace loraproof::merge {

struct SideFiles {
  std::vector<std::string> copied;
  std::vector<std::string> from_adapter;  ///< tokenizer files: the adapter's has more tokens
  std::vector<std::string> left_out;      ///< other weights, folders, the base's README
};

/// Copies config, generation config, tokenizer, templates and whatever else lies beside the weights
/// into `out`, but for config.json and the index, which write_config() writes last. Weights that
/// the index doesn't name are left out: an engine may load the unmerged ones.
[[nodiscard]] SideFiles copy_side_files(const std::filesystem::path& base, const MergePlan& plan,
                                        const std::filesystem::path& adapter,
                                        const std::filesystem::path& out);

/// config.json, changed only where the plan asks for it (tie_word_embeddings, dtype), and the index
/// of the shards. Without config.json nothing loads the folder, so this comes last.
void write_config(const std::filesystem::path& base, const MergePlan& plan,
                  std::optional<io::DType> dtype, const std::filesystem::path& out);

}  // namespace loraproof::merge
