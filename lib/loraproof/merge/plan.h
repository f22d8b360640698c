// SPDX-License-Identifier: Apache-2.0
// What a merge will write: every file with its tensors, and for each tensor where its values come
// from. Made from headers and the adapters' factors; no weight of the base is read.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "loraproof/adapter/placement.h"
#include "loraproof/io/checkpoint.h"
#include "loraproof/io/safetensors_writer.h"
#include "loraproof/merge/change.h"
#include "loraproof/merge/combine.h"
#include "loraproof/merge/layout.h"
#include "loraproof/quant/scheme.h"

namespace loraproof::merge {

/// An adapter that landed on the base without a failed finding.
struct MergeAdapter {
  std::string name;
  const adapter::Placement* placement = nullptr;
  double weight = 1;   ///< --weight
  bool pissa = false;  ///< trained beside what its largest singular triplets leave of the base
};

/// One tensor of the output.
struct PlannedTensor {
  io::TensorSpec spec;
  const io::TensorView* source = nullptr;  ///< whose values it starts from: base or adapter
  std::string module;                      ///< PEFT's path, where an adapter touches it
  std::vector<Change> changes;             ///< of rows that don't overlap, in their order
  bool replaced = false;                   ///< `source` is the adapter's
  /// The values are those that this scheme makes of the source's, as a training on a quantised base
  /// saw them; null: the source's.
  const quant::Scheme* base_scheme = nullptr;

  [[nodiscard]] bool is_touched() const { return replaced || !changes.empty(); }
};

struct PlannedFile {
  std::string name;
  const io::SafetensorsFile* source = nullptr;
  std::vector<PlannedTensor> tensors;  ///< in the order of their bytes
  bool same_header = true;             ///< names, types and shapes are the source's
};

/// A weight under a low-rank change that the adapter's file holds as well, as it was in training:
/// PEFT saves embeddings so.
struct ForeignBase {
  std::string adapter;
  std::string module;
  std::int64_t differing = 0;  ///< elements that are not the base's
  std::int64_t elements = 0;
};

struct MergePlan {
  std::vector<PlannedFile> files;
  /// Name of the head's own tensor, where the base ties it to the embedding and the merge changes
  /// one of them: the config must then say tie_word_embeddings = false.
  std::string untied_head;
  std::optional<std::int64_t> vocab_size;  ///< where the adapter resized the embedding
  std::vector<ForeignBase> foreign;        ///< signs that the adapter was trained on another base
  std::uint64_t output_bytes = 0;
  std::int64_t touched = 0;
  std::int64_t dequantised = 0;  ///< tensors with a base scheme
};

struct PlanOptions {
  std::optional<io::DType> out = {};  ///< type of all floating weights; nullopt: each keeps its own
  CombineOptions combine = {};        ///< of several adapters
  /// Scheme that the base was in while the adapters were trained; null: none.
  const quant::Scheme* base_scheme = nullptr;
};

/// Input Error, naming the
/// tensor, for what these adapters can't do together (two with DoRA or two replacements on one
/// weight), for a bias where the base has none, and for stored types that are no floats.
[[nodiscard]] MergePlan plan_merge(const io::Checkpoint& base, const BaseLayout& layout,
                                   const std::vector<MergeAdapter>& adapters,
                                   const PlanOptions& options);

}  // namespace loraproof::merge
