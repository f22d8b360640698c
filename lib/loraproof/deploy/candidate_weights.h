// SPDX-License-Identifier: Apache-2.0
// The weights of a real quantised checkpoint in place of the base's.
#pragma once

#include <ATen/core/Tensor.h>
#include <string>

#include "loraproof/candidate/weight_source.h"
#include "loraproof/deploy/recorded_variant.h"
#include "loraproof/io/checkpoint.h"

namespace loraproof::deploy {

/// Throws an input Error unless `source` holds every weight of the base in its shape, and its
/// norms: another architecture or vocabulary, a part of the model, another base. A tied head may be
/// missing.
void expect_same_model(const candidate::WeightSource& source, const io::Checkpoint& base);

/// Norms stay the base's (expect_same_model). `source` outlives this.
class CandidateWeights : public RecordedVariant {
 public:
  /// `inputs`: of the reference, which runs before; may be null.
  explicit CandidateWeights(const candidate::WeightSource& source,
                            const LayerInputs* inputs = nullptr)
      : source_(source), inputs_(inputs) {}

  [[nodiscard]] bool changes(const std::string& module) const override;
  [[nodiscard]] at::Tensor embedding(const at::Tensor& ids, const at::Tensor& rows) const override;

 private:
  [[nodiscard]] nn::LinearWeights make(const std::string& module,
                                       const nn::LinearWeights& base) const override;
  [[nodiscard]] at::Tensor bias_of(const std::string& module, const nn::LinearWeights& base) const;
  /// Name of the stored weight; of a tied head the embedding's; "": none.
  [[nodiscard]] std::string stored(const std::string& module) const;

  const candidate::WeightSource& source_;
  const LayerInputs* inputs_;
};

}  // namespace loraproof::deploy
