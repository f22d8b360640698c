// SPDX-License-Identifier: Apache-2.0
#include "loraproof/golden/observe.h"

#include <ATen/ATen.h>

#include "loraproof/adapter/config.h"
#include "loraproof/adapter/landing.h"
#include "loraproof/io/safetensors.h"
#include "support/catch.h"

using namespace loraproof;

namespace {

const std::filesystem::path kFixtures = LORAPROOF_SOURCE_DIR "/tests/fixtures/adapters";

struct Fixture {
  model::DecoderConfig config = model::read_decoder_config(kFixtures / "base");
  io::Checkpoint base = io::Checkpoint::open(kFixtures / "base");
  engine::LayerStore store{base, config, {.compute = at::kFloat}};
  engine::Lane lane;
  std::vector<golden::Sequence> sequences;

  Fixture() {
    const auto adapter_config = adapter::read_adapter_config(kFixtures / "plain");
    const io::SafetensorsFile file(adapter::adapter_weights_file(kFixtures / "plain"));
    const auto landing = adapter::land(adapter_config, file, model::base_modules(config, base));
    lane = engine::make_lane("plain", landing.patches, at::kFloat, at::kCPU);
    std::vector<std::int32_t> prompt;
    for (std::int32_t i = 0; i < 20; ++i) prompt.push_back((i * 7) % 48);
    auto other = prompt;
    other.insert(other.end(), {5, 6, 7});
    // One prompt with two answers, a longer one, one of its own, and the first again.
    sequences = {
        {prompt, {1, 2, 3}}, {prompt, {1, 9}}, {other, {}}, {{4}, {8}}, {prompt, {1, 2, 3}}};
  }
  [[nodiscard]] std::int64_t rows() const {
    std::int64_t count = 0;
    for (const auto& sequence : sequences) count += sequence.rows();
    return count;
  }
  golden::Observation observe(const engine::Packing& packing, std::int64_t top_k,
                              const at::Tensor& reference_ids = {}) {
    const auto silent = make_silent_progress();
    const golden::ObserveRequest request{
        .lane = &lane, .sequences = sequences, .top_k = top_k, .reference_ids = reference_ids};
    return std::move(golden::observe(store, {&request, 1}, *silent, packing).front());
  }
  // Log-probabilities [rows, V] in f64, from one plain sweep per sequence.
  [[nodiscard]] at::Tensor logprobs() {
    const auto silent = make_silent_progress();
    std::vector<at::Tensor> all;
    for (const auto& sequence : sequences) {
      engine::Pack pack;
      pack.add(sequence.tokens());
      const engine::Run run{.lane = &lane, .pack = &pack};
      const at::Tensor hidden = engine::sweep(store, {&run, 1}, *silent)[0];
      const engine::LogitRequest read{
          .lane = &lane, .hidden = hidden, .visit = [&](std::int64_t, const at::Tensor& logits) {
            all.push_back(at::log_softmax(logits.narrow(0, 0, sequence.rows()).to(at::kDouble), 1));
          }};
      engine::visit_logits(store, {&read, 1}, *silent);
    }
    return at::cat(all);
  }
};

bool close(const at::Tensor& a, const at::Tensor& b) {
  return at::allclose(a.to(at::kDouble), b.to(at::kDouble), 1e-5, 1e-5);
}

}  // namespace

TEST_CASE("observations of shared prefixes equal those of whole sequences") {
  Fixture f;
  at::manual_seed(1);
  const at::Tensor ids = at::randint(48, {f.rows(), 5}, at::kInt);
  const auto shared = f.observe({}, 4, ids);
  const auto whole = f.observe({.share_prefixes = false}, 4, ids);
  for (const auto& other : {whole, f.observe({.max_tokens = 30}, 4, ids)}) {
    CHECK(close(shared.embeddings.last, other.embeddings.last));
    CHECK(close(shared.embeddings.mean, other.embeddings.mean));
    CHECK(close(shared.embeddings.answer, other.embeddings.answer));
    CHECK(close(shared.next_logprob, other.next_logprob));
    CHECK(close(shared.next_gap, other.next_gap));
    CHECK(at::equal(shared.best_id, other.best_id));
    CHECK(at::equal(shared.top.topk_ids, other.top.topk_ids));
    CHECK(close(shared.top.topk_logprobs, other.top.topk_logprobs));
    CHECK(close(shared.top.tail_logprob, other.top.tail_logprob));
    CHECK(close(shared.at_reference, other.at_reference));
    CHECK(close(shared.tail_at_reference, other.tail_at_reference));
  }
}

TEST_CASE("rows equal the log-probabilities of each sequence alone, in float64") {
  Fixture f;
  const at::Tensor logprobs = f.logprobs();
  at::manual_seed(2);
  const at::Tensor ids = at::randint(48, {f.rows(), 5}, at::kInt);
  const auto found = f.observe({}, 3, ids);
  std::vector<std::int64_t> next;
  for (const auto& sequence : f.sequences)
    for (std::int64_t row = 0; row < sequence.rows(); ++row)
      next.push_back(sequence.next_token(row));
  const at::Tensor next_ids = at::tensor(next, at::kLong).unsqueeze(1);
  const at::Tensor expected = logprobs.gather(1, next_ids);
  CHECK(close(found.next_logprob, expected.squeeze(1)));
  const at::Tensor others = logprobs.scatter(1, next_ids, -INFINITY);
  CHECK(close(found.next_gap, expected.squeeze(1) - others.amax(1)));
  CHECK(at::equal(found.best_id, logprobs.argmax(1).to(at::kInt)));
  const at::Tensor long_ids = ids.to(at::kLong);
  CHECK(close(found.at_reference, logprobs.gather(1, long_ids)));
  CHECK(
      close(found.tail_at_reference, at::logsumexp(logprobs.scatter(1, long_ids, -INFINITY), {1})));
  const auto [values, top] = logprobs.topk(3, 1);
  CHECK(close(found.top.topk_logprobs, values));
  CHECK(close(found.top.tail_logprob, at::logsumexp(logprobs.scatter(1, top, -INFINITY), {1})));
}
