// SPDX-License-Identifier: Apache-2.0
#include "support/engine_oracle.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <fmt/format.h>

#include "loraproof/adapter/landing.h"
#include "loraproof/engine/decode.h"
#include "loraproof/engine/sweep.h"
#include "loraproof/tensor/from_view.h"

namespace loraproof::test {
namespace {

const std::filesystem::path kFixtures = LORAPROOF_SOURCE_DIR "/tests/fixtures/adapters";
const std::vector<std::vector<std::int32_t>> kSequences = {
    {5, 9, 3}, {7}, {1, 40, 12, 33, 8, 21, 2, 4, 30, 11, 6}};
constexpr std::int64_t kNewTokens = 8;

OracleResult compare(const std::string& adapter, const at::Tensor& hidden,
                     const std::vector<std::vector<std::int32_t>>& answers) {
  const io::SafetensorsFile values(LORAPROOF_SOURCE_DIR "/golden/values/engine_tiny.safetensors");
  OracleResult result;
  std::int64_t row = 0;
  for (std::size_t i = 0; i < kSequences.size(); ++i) {
    const std::string name = fmt::format("base.{}.{}", adapter, i);
    const auto length = static_cast<std::int64_t>(kSequences[i].size());
    const at::Tensor expected = tensor::tensor_of(*values.find("hidden." + name));
    const double range = (expected.max() - expected.min()).item<double>();
    const at::Tensor difference = (hidden.narrow(0, row, length) - expected).abs();
    // Not a number is no match.
    const double share = difference.max().item<double>() / range;
    result.worst = share <= result.worst ? result.worst : share;
    const at::Tensor generated = tensor::tensor_of(*values.find("generated." + name));
    const auto* ids = generated.const_data_ptr<std::int32_t>();
    result.same_text =
        result.same_text && answers[i] == std::vector<std::int32_t>(ids, ids + generated.numel());
    row += length;
  }
  return result;
}

}  // namespace

std::vector<OracleCase> oracle_cases() {
  std::vector<OracleCase> cases;
  for (const char* adapter :
       {"plain", "dora", "rslora", "modules_to_save", "embedding", "lora_bias"}) {
    // A layer of the fixture has 27,904 bytes, all of it 68,224.
    for (const std::optional<std::uint64_t> memory :
         {std::optional<std::uint64_t>(), std::optional<std::uint64_t>(1),
          std::optional<std::uint64_t>(60'000)})
      cases.push_back({adapter, memory});
  }
  return cases;
}

std::string name_of(const OracleCase& one) {
  return one.adapter +
         (one.memory ? fmt::format(" streamed in {}", *one.memory) : std::string(" resident"));
}

OracleResult run_oracle(const OracleCase& one, at::Device device) {
  const auto config = model::read_decoder_config(kFixtures / "base");
  const auto base = io::Checkpoint::open(kFixtures / "base");
  const auto adapter_config = adapter::read_adapter_config(kFixtures / one.adapter);
  const io::SafetensorsFile file(adapter::adapter_weights_file(kFixtures / one.adapter));
  const auto landing = adapter::land(adapter_config, file, model::base_modules(config, base));
  const engine::Lane lane = engine::make_lane(one.adapter, landing.patches, at::kFloat, device);
  engine::LayerStore store(base, config,
                           {.compute = at::kFloat, .device = device, .memory_bytes = one.memory});
  const auto silent = make_silent_progress();
  engine::Pack pack;
  std::vector<engine::DecodeRequest> requests;
  for (const auto& ids : kSequences) {
    pack.add(ids);
    requests.push_back({ids, kNewTokens});
  }
  const engine::Run run{.lane = &lane, .pack = &pack};
  const at::Tensor hidden = engine::sweep(store, {&run, 1}, *silent)[0].cpu();
  const auto answers = engine::greedy_decode(store, lane, requests, config.eos_ids, *silent);
  return compare(one.adapter, hidden, answers);
}

}  // namespace loraproof::test
