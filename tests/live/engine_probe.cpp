// SPDX-License-Identifier: Apache-2.0
// Test-only: runs token ids through the engine and writes logits, hidden states and greedy tokens
// as safetensors, so that tests/live/engine_live.py can compare them with transformers and PEFT.
#include <ATen/ATen.h>
#include <CLI/CLI.hpp>
#include <cstdio>
#include <fmt/format.h>
#include <optional>
#include <string>
#include <vector>

#include "loraproof/adapter/landing.h"
#include "loraproof/commands/errors.h"
#include "loraproof/commands/inputs.h"
#include "loraproof/core/json.h"
#include "loraproof/engine/decode.h"
#include "loraproof/engine/pack.h"
#include "loraproof/engine/sweep.h"
#include "loraproof/io/safetensors_writer.h"

namespace lp = loraproof;

namespace {

struct Options {
  std::string base, adapter, ids, out, compute = "fp32", memory = "resident", device = "cpu";
  std::int64_t generate = 0;
};

// As validate runs them: packed, with shared prefixes computed once.
struct Outputs {
  std::vector<at::Tensor> hidden, logits;
};

Outputs run_all(lp::engine::LayerStore& store, const lp::engine::Lane& lane,
                const std::vector<std::vector<std::int32_t>>& sequences) {
  const auto progress = lp::make_silent_progress();
  Outputs outputs;
  outputs.hidden.resize(sequences.size());
  outputs.logits.resize(sequences.size());
  const auto packed = lp::engine::pack_sequences(sequences, store.config().rope);
  for (std::size_t p = 0; p < packed.packs.size(); ++p) {
    const lp::engine::Pack& pack = packed.packs[p];
    const lp::engine::Run run{.lane = &lane, .pack = &pack};
    const at::Tensor hidden = lp::engine::sweep(store, {&run, 1}, *progress)[0];
    std::vector<at::Tensor> blocks;
    const lp::engine::LogitRequest request{
        .lane = &lane, .hidden = hidden, .visit = [&](std::int64_t, const at::Tensor& logits) {
          blocks.push_back(logits.cpu());
        }};
    lp::engine::visit_logits(store, {&request, 1}, *progress);
    const at::Tensor logits = at::cat(blocks);
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      if (packed.placements[i].pack != p) continue;
      const at::Tensor rows = at::tensor(packed.placements[i].rows, at::kLong);
      outputs.hidden[i] = hidden.to(at::kCPU, at::kFloat).index_select(0, rows);
      outputs.logits[i] = logits.index_select(0, rows);
    }
  }
  return outputs;
}

void write(const std::string& path,
           const std::vector<std::pair<std::string, at::Tensor>>& tensors) {
  std::vector<lp::io::TensorView> views;
  for (const auto& [name, tensor] : tensors) {
    views.push_back(
        {.name = name,
         .dtype = tensor.scalar_type() == at::kInt ? lp::io::DType::I32 : lp::io::DType::F32,
         .shape = tensor.sizes().vec(),
         .bytes = {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}});
  }
  std::remove(path.c_str());
  lp::io::write_safetensors(path, views);
}

int probe(const Options& options) {
  const auto base = lp::commands::open_base(options.base);
  lp::adapter::PatchSet patches;
  if (!options.adapter.empty()) {
    const auto adapter = lp::commands::open_adapter(options.adapter);
    auto landing = lp::adapter::land(adapter.config, adapter.weights, base.modules);
    for (const auto& finding : landing.findings) {
      fmt::print(stderr, "{} {}: {}\n", finding.id, finding.subject, finding.message);
    }
    if (landing.failed()) return 1;
    patches = std::move(landing.patches);
  }
  const at::ScalarType compute = options.compute == "bf16" ? at::kBFloat16 : at::kFloat;
  const at::Device device(options.device);
  lp::engine::StoreOptions store_options{.compute = compute, .device = device};
  if (options.memory == "streamed") store_options.memory_bytes = 1;
  lp::engine::LayerStore store(base.checkpoint, base.config, store_options);
  const lp::engine::Lane lane = lp::engine::make_lane("probe", patches, compute, device);
  const auto sequences =
      lp::read_json_file(options.ids).get<std::vector<std::vector<std::int32_t>>>();

  std::vector<std::pair<std::string, at::Tensor>> tensors;
  const Outputs outputs = run_all(store, lane, sequences);
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    tensors.emplace_back(fmt::format("logits.{}", i), outputs.logits[i]);
    tensors.emplace_back(fmt::format("hidden.{}", i), outputs.hidden[i]);
  }
  if (options.generate > 0) {
    std::vector<lp::engine::DecodeRequest> requests;
    for (const auto& sequence : sequences) requests.push_back({sequence, options.generate});
    const auto progress = lp::make_silent_progress();
    const auto answers =
        lp::engine::greedy_decode(store, lane, requests, base.config.eos_ids, *progress);
    for (std::size_t i = 0; i < answers.size(); ++i) {
      tensors.emplace_back(fmt::format("generated.{}", i),
                           at::tensor(at::ArrayRef<std::int32_t>(answers[i]), at::kInt));
    }
  }
  write(options.out, tensors);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("engine probe");
  app.add_option("--base", options.base)->required();
  app.add_option("--adapter", options.adapter);
  app.add_option("--ids", options.ids)->required();
  app.add_option("--out", options.out)->required();
  app.add_option("--compute", options.compute)->check(CLI::IsMember({"bf16", "fp32"}));
  app.add_option("--memory", options.memory)->check(CLI::IsMember({"resident", "streamed"}));
  app.add_option("--device", options.device);
  app.add_option("--generate", options.generate);
  CLI11_PARSE(app, argc, argv);
  try {
    return probe(options);
  } catch (...) {
    fmt::print(stderr, "engine_probe: {}\n", lp::commands::current_error().what());
    return 3;
  }
}
