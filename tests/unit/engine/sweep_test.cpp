// SPDX-License-Identifier: Apache-2.0
// The engine against what transformers and PEFT computed (golden/values/engine_tiny.safetensors).
#include "loraproof/engine/sweep.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "loraproof/adapter/landing.h"
#include "loraproof/core/error.h"
#include "loraproof/engine/decode.h"
#include "loraproof/tensor/from_view.h"
#include "support/catch.h"

using namespace loraproof;

namespace {

const std::filesystem::path kFixtures = LORAPROOF_SOURCE_DIR "/tests/fixtures/adapters";
const std::vector<std::vector<std::int32_t>> kSequences = {
    {5, 9, 3}, {7}, {1, 40, 12, 33, 8, 21, 2, 4, 30, 11, 6}};
const std::vector<std::pair<std::string, std::string>> kCases = {{"base", ""},
                                                                 {"base", "plain"},
                                                                 {"base", "dora"},
                                                                 {"base", "rslora"},
                                                                 {"base", "modules_to_save"},
                                                                 {"base", "embedding"},
                                                                 {"base", "dora_embedding"},
                                                                 {"base", "lora_bias"},
                                                                 {"base_bias", "bias_all"},
                                                                 {"base_tied", "tied_head"}};

struct Model {
  model::DecoderConfig config;
  io::Checkpoint base;
  engine::Lane lane;

  Model(const std::string& base_name, const std::string& adapter_name)
      : config(model::read_decoder_config(kFixtures / base_name)),
        base(io::Checkpoint::open(kFixtures / base_name)),
        lane(lane_of(adapter_name)) {}

  [[nodiscard]] engine::Lane lane_of(const std::string& name) const {
    if (name.empty()) return engine::make_lane("base", {}, at::kFloat, at::kCPU);
    const auto adapter_config = adapter::read_adapter_config(kFixtures / name);
    const io::SafetensorsFile file(adapter::adapter_weights_file(kFixtures / name));
    const auto landing = adapter::land(adapter_config, file, model::base_modules(config, base));
    REQUIRE_FALSE(landing.failed());
    return engine::make_lane(name, landing.patches, at::kFloat, at::kCPU);
  }

  [[nodiscard]] engine::LayerStore store(std::optional<std::uint64_t> memory = std::nullopt) const {
    return {base, config, {.compute = at::kFloat, .memory_bytes = memory}};
  }
};

at::Tensor logits_of(engine::LayerStore& store, const engine::Lane& lane,
                     const at::Tensor& hidden) {
  const auto silent = make_silent_progress();
  std::vector<at::Tensor> blocks;
  const engine::LogitRequest request{
      .lane = &lane, .hidden = hidden, .visit = [&](std::int64_t, const at::Tensor& block) {
        blocks.push_back(block);
      }};
  engine::visit_logits(store, {&request, 1}, *silent);
  return at::cat(blocks);
}

// Largest difference as a share of the expected values' range.
double difference(const at::Tensor& found, const at::Tensor& expected) {
  REQUIRE(found.sizes() == expected.sizes());
  return (found - expected).abs().max().item<double>() /
         (expected.max() - expected.min()).item<double>();
}

class Expected {
 public:
  at::Tensor get(const std::string& name) const {
    const auto* view = file_.find(name);
    REQUIRE(view != nullptr);
    return tensor::tensor_of(*view);
  }

 private:
  io::SafetensorsFile file_{
      std::filesystem::path(LORAPROOF_SOURCE_DIR "/golden/values/engine_tiny.safetensors")};
};

}  // namespace

TEST_CASE("hidden states and logits equal transformers and PEFT in f32, resident and streamed") {
  const Expected expected;
  const auto silent = make_silent_progress();
  for (const auto& [base, adapter] : kCases) {
    const Model m(base, adapter);
    for (const std::optional<std::uint64_t> memory :
         {std::optional<std::uint64_t>(), std::optional<std::uint64_t>(1)}) {
      auto store = m.store(memory);
      CHECK(store.resident() == !memory.has_value());
      engine::Pack pack;
      for (const auto& ids : kSequences) pack.add(ids);
      const engine::Run run{.lane = &m.lane, .pack = &pack};
      const at::Tensor hidden = engine::sweep(store, {&run, 1}, *silent)[0];
      const at::Tensor logits = logits_of(store, m.lane, hidden);
      std::int64_t row = 0;
      for (std::size_t i = 0; i < kSequences.size(); ++i) {
        const auto length = static_cast<std::int64_t>(kSequences[i].size());
        const std::string name =
            fmt::format("{}.{}.{}", base, adapter.empty() ? "none" : adapter, i);
        INFO(name);
        // 1e-5 of the range: ten times less than the project asks for.
        CHECK(difference(hidden.narrow(0, row, length), expected.get("hidden." + name)) < 1e-5);
        CHECK(difference(logits.narrow(0, row, length), expected.get("logits." + name)) < 1e-5);
        row += length;
      }
    }
  }
}

TEST_CASE("greedy decoding of a batch equals generate of each prompt") {
  const Expected expected;
  const auto silent = make_silent_progress();
  for (const auto& [base, adapter] : kCases) {
    const Model m(base, adapter);
    auto store = m.store();
    std::vector<engine::DecodeRequest> requests;
    for (const auto& ids : kSequences) requests.push_back({ids, 8});
    const auto answers = engine::greedy_decode(store, m.lane, requests, m.config.eos_ids, *silent);
    for (std::size_t i = 0; i < answers.size(); ++i) {
      const at::Tensor ids = expected.get(
          fmt::format("generated.{}.{}.{}", base, adapter.empty() ? "none" : adapter, i));
      const auto* data = ids.const_data_ptr<std::int32_t>();
      INFO(base << " " << adapter << " " << i);
      CHECK(answers[i] == std::vector<std::int32_t>(data, data + ids.numel()));
    }
  }
}

TEST_CASE("shared prefixes change no row, and decoding from them no token") {
  const auto silent = make_silent_progress();
  std::vector<std::int32_t> system;
  for (std::int32_t i = 0; i < 24; ++i) system.push_back((i * 11) % 48);
  std::vector<std::vector<std::int32_t>> sequences;
  for (const std::vector<std::int32_t>& rest :
       {std::vector<std::int32_t>{1, 2}, {1, 3, 4}, {}, {9}, {1, 2}}) {
    sequences.push_back(system);
    sequences.back().insert(sequences.back().end(), rest.begin(), rest.end());
  }
  for (const std::optional<std::int64_t> window : {std::optional<std::int64_t>(), {7}}) {
    Model m("base", "plain");
    for (auto& layer_window : m.config.window) layer_window = window;
    auto store = m.store();
    const auto packed = engine::pack_sequences(sequences, m.config.rope);
    REQUIRE(packed.packs.size() == 1);
    REQUIRE(packed.packs[0].num_segments() > 2);
    const engine::Run run{.lane = &m.lane, .pack = &packed.packs[0]};
    const at::Tensor hidden = engine::sweep(store, {&run, 1}, *silent)[0];
    std::vector<engine::DecodeRequest> requests;
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      engine::Pack alone;
      alone.add(sequences[i]);
      const engine::Run alone_run{.lane = &m.lane, .pack = &alone};
      const at::Tensor expected = engine::sweep(store, {&alone_run, 1}, *silent)[0];
      const at::Tensor rows = at::tensor(packed.placements[i].rows, at::kLong);
      CHECK(difference(hidden.index_select(0, rows), expected) < 1e-5);
      requests.push_back({sequences[i], 6});
    }
    const auto together = engine::greedy_decode(store, m.lane, requests, {}, *silent);
    for (std::size_t i = 0; i < requests.size(); ++i) {
      CHECK(engine::greedy_decode(store, m.lane, {&requests[i], 1}, {}, *silent)[0] == together[i]);
    }
  }
}

TEST_CASE("several lanes share one sweep, and no adapter leaves a trace in another's answer") {
  const Expected expected;
  const auto silent = make_silent_progress();
  const Model m("base", "");
  const engine::Lane plain = m.lane_of("plain"), dora = m.lane_of("dora");
  auto store = m.store(1);
  engine::Pack pack;
  for (const auto& ids : kSequences) pack.add(ids);
  const std::vector<engine::Run> runs = {{.lane = &plain, .pack = &pack},
                                         {.lane = &m.lane, .pack = &pack},
                                         {.lane = &dora, .pack = &pack}};
  const auto hidden = engine::sweep(store, runs, *silent);
  const char* names[] = {"plain", "none", "dora"};
  for (std::size_t lane = 0; lane < 3; ++lane) {
    CHECK(difference(hidden[lane].narrow(0, 0, 3),
                     expected.get(fmt::format("hidden.base.{}.0", names[lane]))) < 1e-5);
  }
  // A layer is read once however many lanes there are: everything but embedding and head, once.
  std::uint64_t layer_bytes = 0;
  for (const auto& view : m.base.views()) {
    if (view.name.starts_with("model.layers.") || view.name == "model.norm.weight")
      layer_bytes += view.bytes.size();
  }
  CHECK(store.bytes_read() == layer_bytes);
}

TEST_CASE("a limit of tokens and stop ids end an answer") {
  const auto silent = make_silent_progress();
  const Model m("base", "plain");
  auto store = m.store();
  const std::vector<engine::DecodeRequest> requests = {{{5, 9, 3}, 8}, {{7}, 2}, {{1, 40}, 0}};
  const auto free = engine::greedy_decode(store, m.lane, requests, {}, *silent);
  CHECK(free[0].size() == 8);
  CHECK(free[1].size() == 2);
  CHECK(free[2].empty());
  const std::vector<std::int32_t> stop = {free[0][2]};
  const auto stopped = engine::greedy_decode(store, m.lane, requests, stop, *silent);
  const auto first = std::find(free[0].begin(), free[0].end(), stop[0]);
  CHECK(stopped[0] == std::vector<std::int32_t>(free[0].begin(), first + 1));
}

TEST_CASE("a token id outside of the vocabulary is an input error") {
  const auto silent = make_silent_progress();
  const Model m("base", "");
  auto store = m.store();
  engine::Pack pack;
  pack.add(std::vector<std::int32_t>{48});
  const engine::Run run{.lane = &m.lane, .pack = &pack};
  try {
    (void)engine::sweep(store, {&run, 1}, *silent);
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::Input);
    CHECK(error.detail().expected == "0 to 47");
  }
}

TEST_CASE("each stored tensor is announced once, when it is first read") {
  const auto silent = make_silent_progress();
  const Model m("base", "");
  std::map<std::string, int> seen;
  engine::LayerStore store(
      m.base, m.config,
      {.compute = at::kFloat, .memory_bytes = 1, .on_first_read = [&](const io::TensorView& view) {
         ++seen[view.name];
       }});
  engine::Pack pack;
  pack.add(kSequences[0]);
  const engine::Run run{.lane = &m.lane, .pack = &pack};
  for (int i = 0; i < 2; ++i)
    (void)logits_of(store, m.lane, engine::sweep(store, {&run, 1}, *silent)[0]);
  CHECK(seen.size() == m.base.views().size());
  for (const auto& [name, count] : seen) CHECK(count == 1);
}

namespace {

// Twice the weights of the linear layers of one layer, or of all (-1).
class Doubled : public engine::WeightVariant {
 public:
  explicit Doubled(std::int64_t layer) : layer_(layer) {}
  [[nodiscard]] bool changes(const std::string& module) const override {
    return layer_ < 0 || module.starts_with(fmt::format("model.layers.{}.", layer_));
  }
  [[nodiscard]] nn::LinearWeights linear(const std::string& module,
                                         const nn::LinearWeights& base) const override {
    return changes(module) ? nn::LinearWeights{base.weight * 2, base.bias} : base;
  }

 private:
  std::int64_t layer_;
};

}  // namespace

TEST_CASE("a lane that forks from another is what it is when it runs whole") {
  const auto silent = make_silent_progress();
  const Model m("base", "plain");
  REQUIRE(m.config.num_layers >= 2);
  engine::Pack pack;
  for (const auto& ids : kSequences) pack.add(ids);
  const Doubled everywhere(-1);
  for (const std::optional<std::uint64_t> memory :
       {std::optional<std::uint64_t>(), std::optional<std::uint64_t>(1)}) {
    auto store = m.store(memory);
    for (std::int64_t layer = 0; layer < m.config.num_layers; ++layer) {
      const engine::SelectedModules one(everywhere, [&](const std::string& module) {
        return module.starts_with(fmt::format("model.layers.{}.", layer));
      });
      engine::Lane swapped = m.lane;
      swapped.variant = &one;
      engine::Lane doubled = m.lane;
      doubled.variant = &everywhere;
      const engine::Run reference{.lane = &m.lane, .pack = &pack};
      const engine::Run whole{.lane = &swapped, .pack = &pack};
      const engine::Run other{.lane = &doubled, .pack = &pack};
      engine::Run forked = whole;
      forked.fork = {.run = 0, .layer = layer};
      const std::vector<engine::Run> runs = {reference, whole, other, forked};
      const auto hidden = engine::sweep(store, runs, *silent);
      CHECK(at::equal(hidden[0], engine::sweep(store, {&reference, 1}, *silent)[0]));
      CHECK(at::equal(hidden[1], hidden[3]));
      CHECK_FALSE(at::equal(hidden[0], hidden[1]));
      CHECK_FALSE(at::equal(hidden[1], hidden[2]));
    }
  }
}

TEST_CASE("errors of layers are those of the layers whose weights are others") {
  const auto silent = make_silent_progress();
  const Model m("base", "plain");
  engine::Pack pack;
  for (const auto& ids : kSequences) pack.add(ids);
  auto store = m.store();
  const std::int64_t last = m.config.num_layers - 1;
  const Doubled one(last);
  engine::Lane doubled = m.lane;
  doubled.variant = &one;
  const engine::Run reference{.lane = &m.lane, .pack = &pack};
  const std::vector<const engine::Lane*> lanes = {&m.lane, &doubled};
  const auto errors = engine::layer_errors(store, {&reference, 1}, lanes, *silent);
  REQUIRE(errors.size() == 2);
  for (std::int64_t layer = 0; layer <= last; ++layer) {
    CHECK(errors[0][static_cast<std::size_t>(layer)] == 0);
    CHECK((errors[1][static_cast<std::size_t>(layer)] > 0) == (layer == last));
  }
}

TEST_CASE("logits side by side are those of each lane alone") {
  const auto silent = make_silent_progress();
  const Model m("base", "plain");
  engine::Pack pack;
  for (const auto& ids : kSequences) pack.add(ids);
  const Doubled everywhere(-1);
  engine::Lane doubled = m.lane;
  doubled.variant = &everywhere;
  for (const std::optional<std::uint64_t> memory :
       {std::optional<std::uint64_t>(), std::optional<std::uint64_t>(1)}) {
    auto store = m.store(memory);
    const std::vector<engine::Run> runs = {{.lane = &m.lane, .pack = &pack},
                                           {.lane = &doubled, .pack = &pack}};
    const auto hidden = engine::sweep(store, runs, *silent);
    const std::vector<engine::LaneRows> lanes = {{&m.lane, hidden[0]}, {&doubled, hidden[1]}};
    std::vector<std::vector<at::Tensor>> blocks(2);
    engine::visit_logits_side_by_side(
        store, lanes,
        [&](std::size_t lane, std::int64_t, const at::Tensor& logits) {
          blocks[lane].push_back(logits);
        },
        *silent);
    CHECK(at::equal(at::cat(blocks[0]), logits_of(store, m.lane, hidden[0])));
    CHECK(at::equal(at::cat(blocks[1]), logits_of(store, doubled, hidden[1])));
    CHECK_FALSE(at::equal(at::cat(blocks[0]), at::cat(blocks[1])));
  }
}
