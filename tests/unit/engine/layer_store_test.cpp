// SPDX-License-Identifier: Apache-2.0
// Streaming: what is read when and how often, and that no bit depends on it.
#include "loraproof/engine/layer_store.h"

#include <ATen/ATen.h>
#include <map>
#include <thread>

#include "four_layers.h"
#include "loraproof/core/error.h"
#include "loraproof/core/log.h"
#include "loraproof/engine/sweep.h"
#include "support/catch.h"

using namespace loraproof;
using test::kHeadBytes;
using test::kLayerBytes;
using test::kNormBytes;

namespace {

constexpr std::uint64_t kOne = kNormBytes + kLayerBytes;
constexpr std::uint64_t kTwo = kNormBytes + 2 * kLayerBytes;

// Hidden states and logits of one sweep, in one tensor [N, D + V] f32.
at::Tensor run(engine::LayerStore& store) {
  const auto silent = make_silent_progress();
  const engine::Lane lane = engine::make_lane("base", {}, store.compute(), at::kCPU);
  engine::Pack pack;
  pack.add(std::vector<std::int32_t>{5, 9, 3});
  pack.add(std::vector<std::int32_t>{7, 1, 40, 12, 33});
  const engine::Run one{.lane = &lane, .pack = &pack};
  const at::Tensor hidden = engine::sweep(store, {&one, 1}, *silent)[0];
  at::Tensor all;
  const engine::LogitRequest request{
      .lane = &lane, .hidden = hidden, .visit = [&](std::int64_t, const at::Tensor& logits) {
        all = at::cat({hidden.to(at::kFloat), logits}, 1);
      }};
  engine::visit_logits(store, {&request, 1}, *silent);
  return all;
}

}  // namespace

TEST_CASE("streamed results equal resident ones bit for bit, sweep after sweep") {
  const test::FourLayers m;
  for (const at::ScalarType compute : {at::kFloat, at::kBFloat16}) {
    engine::LayerStore resident(m.base, m.config, {.compute = compute});
    const at::Tensor expected = run(resident);
    CHECK(resident.resident());
    for (const std::uint64_t memory : {std::uint64_t{1}, kOne, kTwo / 2, kTwo, kTwo + kHeadBytes,
                                       kTwo + kHeadBytes + kLayerBytes}) {
      engine::LayerStore store(m.base, m.config, {.compute = compute, .memory_bytes = memory});
      INFO(memory);
      for (int sweep = 0; sweep < 3; ++sweep) CHECK(at::equal(run(store), expected));
    }
  }
}

TEST_CASE("every weight is read once per sweep, and what stays is read once") {
  const test::FourLayers m;
  struct Case {
    std::optional<std::uint64_t> memory;
    std::uint64_t first, later;  // bytes of the first sweep and of each one after it
  };
  const std::uint64_t all = 4 * kLayerBytes + kNormBytes + kHeadBytes;
  for (const Case& c : {Case{std::nullopt, all, 0},
                        {1, all, 4 * kLayerBytes + kHeadBytes},
                        {kTwo, all, 4 * kLayerBytes + kHeadBytes},
                        {kTwo + kHeadBytes, all, 4 * kLayerBytes},
                        {kTwo + kHeadBytes + kLayerBytes, all, 3 * kLayerBytes}}) {
    engine::LayerStore store(m.base, m.config, {.compute = at::kFloat, .memory_bytes = c.memory});
    run(store);
    CHECK(store.bytes_read() == c.first);
    run(store);
    run(store);
    CHECK(store.bytes_read() == c.first + 2 * c.later);
  }
}

TEST_CASE("tensors are shown once, in the order of the sweep, on the thread of the sweep") {
  const test::FourLayers m;
  const std::vector<std::optional<std::uint64_t>> budgets = {std::nullopt, kTwo, 1};
  for (const std::optional<std::uint64_t>& memory : budgets) {
    std::vector<std::string> order;
    const std::thread::id here = std::this_thread::get_id();
    bool same_thread = true, lent = true;
    engine::LayerStore store(m.base, m.config,
                             {.compute = at::kFloat,
                              .memory_bytes = memory,
                              .on_first_read = [&](const io::TensorView& view) {
                                same_thread = same_thread && std::this_thread::get_id() == here;
                                if (view.name != "model.norm.weight") {
                                  lent = lent && (view.loan != nullptr) == memory.has_value();
                                }
                                order.push_back(view.name);
                              }});
    run(store);
    run(store);
    CHECK(same_thread);
    CHECK(lent);
    REQUIRE(order.size() == m.base.views().size());
    CHECK(order.front() == "model.embed_tokens.weight");
    CHECK(order[1] == "model.layers.0.input_layernorm.weight");
    CHECK(order.back() == "lm_head.weight");
    const auto layer_of = [](const std::string& name) { return name.substr(0, 14); };
    const auto first = order.begin() + 1, last = order.end() - 2;
    CHECK(std::is_sorted(first, last,
                         [&](const auto& a, const auto& b) { return layer_of(a) < layer_of(b); }));
  }
}

TEST_CASE("layers may be asked for out of order and again") {
  const test::FourLayers m;
  engine::LayerStore resident(m.base, m.config, {.compute = at::kFloat});
  engine::LayerStore store(m.base, m.config, {.compute = at::kFloat, .memory_bytes = kTwo});
  for (const int layer : {0, 3, 1, 1, 2, 0}) {
    const at::Tensor expected = resident.layer(layer).down.weight.clone();
    CHECK(at::equal(store.layer(layer).down.weight, expected));
  }
}

TEST_CASE("what stayed can be given back, and is read again when it is needed") {
  const test::FourLayers m;
  engine::LayerStore store(
      m.base, m.config, {.compute = at::kFloat, .memory_bytes = kTwo + kHeadBytes + kLayerBytes});
  const at::Tensor expected = run(store);
  const std::uint64_t first = store.bytes_read();
  store.release_all();
  CHECK(at::equal(run(store), expected));
  CHECK(store.bytes_read() == 2 * first - kNormBytes);  // the norm stays: a copy would gain nothing
}

TEST_CASE("a file cut short under the prefetching thread is an error of the sweep") {
  for (const std::uint64_t memory : {std::uint64_t{1}, kTwo}) {
    const test::FourLayers m;
    engine::LayerStore store(m.base, m.config, {.compute = at::kFloat, .memory_bytes = memory});
    (void)store.layer(0);
    const io::TensorView& cut = *m.base.find("model.layers.3.self_attn.k_proj.weight");
    const auto* begin = m.base.file_of(cut).file().bytes().data();
    std::filesystem::resize_file(m.folder.path() / "model.safetensors",
                                 static_cast<std::uintmax_t>(cut.bytes.data() - begin));
    try {
      for (std::int64_t layer = 1; layer < 4; ++layer) (void)store.layer(layer);
      FAIL("read");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::Input);
      CHECK(error.detail().message.find("shorter") != std::string::npos);
    }
    // The layer that failed is asked for again: the same answer, no broken future.
    CHECK_THROWS_AS(store.layer(3), Error);
  }
}

TEST_CASE("a budget below one layer is exceeded, and said so") {
  const test::FourLayers m;
  std::vector<std::string> messages;
  log::set_sink([&](log::Level, std::string_view text) { messages.emplace_back(text); });
  engine::LayerStore fits(m.base, m.config, {.compute = at::kFloat, .memory_bytes = kOne});
  engine::LayerStore exceeds(m.base, m.config, {.compute = at::kFloat, .memory_bytes = kOne - 1});
  log::set_sink(nullptr);
  REQUIRE(messages.size() == 1);
  CHECK(messages[0].find(std::to_string(kOne)) != std::string::npos);
}
