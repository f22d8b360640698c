// SPDX-License-Identifier: Apache-2.0
// A candidate in place of the base: whose weights are taken, and what is no candidate for it.
#include "loraproof/deploy/candidate_weights.h"

#include <ATen/ATen.h>

#include "loraproof/core/error.h"
#include "loraproof/io/element_values.h"
#include "loraproof/tensor/from_view.h"
#include "support/catch.h"

namespace loraproof::deploy {
namespace {

const std::filesystem::path kBase = LORAPROOF_SOURCE_DIR "/tests/fixtures/adapters/base";

// The base's weights, halved; `edit` changes what is handed over.
candidate::WeightSource halved(const io::Checkpoint& base,
                               const std::function<void(candidate::Weight&)>& edit = {}) {
  std::vector<candidate::Weight> weights;
  for (const io::TensorView& view : base.views()) {
    const float factor = view.shape.size() == 2 ? 0.5F : 1.0F;
    const std::int64_t length = view.shape.back();
    candidate::Weight weight{.name = view.name, .shape = view.shape, .method = "half"};
    weight.decode = [view, factor, length](std::int64_t first, std::int64_t count, float* out) {
      const std::vector<double> values = io::widened(view);
      for (std::int64_t i = 0; i < count * length; ++i)
        out[i] = factor * static_cast<float>(values[static_cast<std::size_t>(first * length + i)]);
    };
    if (edit) edit(weight);
    weights.push_back(std::move(weight));
  }
  return {{.path = "candidate", .scheme = "half"}, std::move(weights)};
}

std::string refused_at(const io::Checkpoint& base, const candidate::WeightSource& source) {
  try {
    expect_same_model(source, base);
  } catch (const Error& error) {
    return error.detail().where;
  }
  return "";
}

}  // namespace

TEST_CASE("weights and embeddings are the candidate's") {
  const io::Checkpoint base = io::Checkpoint::open(kBase);
  const candidate::WeightSource source = halved(base);
  CHECK(refused_at(base, source).empty());
  const CandidateWeights weights(source);
  const std::string module = "model.layers.0.mlp.up_proj";
  const at::Tensor stored = tensor::tensor_of(*base.find(module + ".weight"));
  REQUIRE(weights.changes(module));
  CHECK_FALSE(weights.changes("model.layers.99.mlp.up_proj"));
  const at::Tensor found = weights.linear(module, {stored, {}}).weight;
  CHECK(found.scalar_type() == stored.scalar_type());
  CHECK(at::equal(found.to(at::kFloat), stored.to(at::kFloat) * 0.5));
  CHECK(weights.damage().at(module).sqnr() == Approx(20 * std::log10(2)).epsilon(1e-4));

  const at::Tensor table =
      tensor::tensor_of(*base.find(std::string(model::kEmbedding) + ".weight"));
  const at::Tensor ids = at::tensor({3, 0, 3}, at::kLong);
  const at::Tensor rows = table.index_select(0, ids);
  CHECK(at::equal(weights.embedding(ids, rows).to(at::kFloat), rows.to(at::kFloat) * 0.5));
}

TEST_CASE("another model is refused where it differs") {
  const io::Checkpoint base = io::Checkpoint::open(kBase);
  const std::string module = "model.layers.1.self_attn.q_proj.weight";
  CHECK(refused_at(base, halved(base, [&](candidate::Weight& weight) {
                     if (weight.name == module)
                       weight.shape = {weight.shape[0] + 1, weight.shape[1]};
                   })) == module);
  CHECK(refused_at(base, halved(base, [&](candidate::Weight& weight) {
                     if (weight.name == module)
                       weight.name = "model.layers.7.self_attn.q_proj.weight";
                   })) == module);
  CHECK(refused_at(base, halved(base,
                                [](candidate::Weight& weight) {
                                  if (weight.name != "model.norm.weight") return;
                                  weight.decode =
                                      [decode = weight.decode, length = weight.shape[0]](
                                          std::int64_t first, std::int64_t count, float* out) {
                                        decode(first, count, out);
                                        out[length - 1] += 0.5F;
                                      };
                                }))
            .starts_with("model.norm.weight["));
}

}  // namespace loraproof::deploy
