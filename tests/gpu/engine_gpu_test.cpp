// SPDX-License-Identifier: Apache-2.0
// The engine on CUDA against what transformers and PEFT computed on the CPU: the whole path of a
// sweep, streamed and resident, with and without a cache. Exit 77 (skipped) where there is no CUDA
// device.
#include <ATen/ATen.h>
#include <cstdio>
#include <fmt/format.h>

#include "loraproof/adapter/landing.h"
#include "loraproof/engine/decode.h"
#include "loraproof/engine/sweep.h"
#include "loraproof/tensor/from_view.h"

using namespace loraproof;

namespace {

const std::filesystem::path kFixtures = LORAPROOF_SOURCE_DIR "/tests/fixtures/adapters";
const std::vector<std::vector<std::int32_t>> kSequences = {
    {5, 9, 3}, {7}, {1, 40, 12, 33, 8, 21, 2, 4, 30, 11, 6}};

// Largest difference of hidden states as a share of their range; sequences of one adapter.
double worst_difference(const std::string& adapter_name, std::optional<std::uint64_t> memory,
                        bool& same_text) {
  const io::SafetensorsFile values(LORAPROOF_SOURCE_DIR "/golden/values/engine_tiny.safetensors");
  const auto config = model::read_decoder_config(kFixtures / "base");
  const auto base = io::Checkpoint::open(kFixtures / "base");
  const auto adapter_config = adapter::read_adapter_config(kFixtures / adapter_name);
  const io::SafetensorsFile file(adapter::adapter_weights_file(kFixtures / adapter_name));
  const auto landing = adapter::land(adapter_config, file, model::base_modules(config, base));
  const at::Device device(at::kCUDA, 0);
  const engine::Lane lane = engine::make_lane(adapter_name, landing.patches, at::kFloat, device);
  engine::LayerStore store(base, config,
                           {.compute = at::kFloat, .device = device, .memory_bytes = memory});
  const auto silent = make_silent_progress();

  engine::Pack pack;
  std::vector<engine::DecodeRequest> requests;
  for (const auto& ids : kSequences) {
    pack.add(ids);
    requests.push_back({ids, 8});
  }
  const engine::Run run{.lane = &lane, .pack = &pack};
  const at::Tensor hidden = engine::sweep(store, {&run, 1}, *silent)[0].cpu();
  const auto answers = engine::greedy_decode(store, lane, requests, config.eos_ids, *silent);
  double worst = 0;
  std::int64_t row = 0;
  for (std::size_t i = 0; i < kSequences.size(); ++i) {
    const std::string name = fmt::format("base.{}.{}", adapter_name, i);
    const auto length = static_cast<std::int64_t>(kSequences[i].size());
    const at::Tensor expected = tensor::tensor_of(*values.find("hidden." + name));
    const double range = (expected.max() - expected.min()).item<double>();
    worst = std::max(worst,
                     (hidden.narrow(0, row, length) - expected).abs().max().item<double>() / range);
    const at::Tensor generated = tensor::tensor_of(*values.find("generated." + name));
    const auto* ids = generated.const_data_ptr<std::int32_t>();
    same_text = same_text && answers[i] == std::vector<std::int32_t>(ids, ids + generated.numel());
    row += length;
  }
  return worst;
}

}  // namespace

int main() {
  if (!at::hasCUDA()) {
    std::puts("skipped: this libtorch sees no CUDA device");
    return 77;
  }
  int failed = 0, passed = 0;
  for (const char* adapter :
       {"plain", "dora", "rslora", "modules_to_save", "embedding", "lora_bias"}) {
    // Resident, one layer at a time, and two layers in flight: the next one copied from pinned
    // memory on a stream of its own (a layer of the fixture has 27,904 bytes, all of it 68,224).
    for (const std::optional<std::uint64_t> memory :
         {std::optional<std::uint64_t>(), std::optional<std::uint64_t>(1),
          std::optional<std::uint64_t>(60'000)}) {
      bool same_text = true;
      const double worst = worst_difference(adapter, memory, same_text);
      // TF32 is off by default for matmul in libtorch, so f32 on CUDA is f32.
      const bool ok = worst < 1e-4 && same_text;
      fmt::print("{} {} {}: {:.2e} of the range, greedy text {}\n", ok ? "ok  " : "FAIL", adapter,
                 memory ? fmt::format("streamed in {}", *memory) : "resident", worst,
                 same_text ? "equal" : "differs");
      ++(ok ? passed : failed);
    }
  }
  fmt::print("{} passed, {} failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
