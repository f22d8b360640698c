// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/noise_floor.h"

#include <ATen/Parallel.h>

#include "loraproof/core/json.h"
#include "loraproof/golden/compare.h"

namespace loraproof::commands {
namespace {

// Small packs of whole prompts: other shapes, hence other kernels and sums, than the usual ones.
constexpr engine::Packing kOtherPacking{.max_tokens = 192, .share_prefixes = false};

class ThreadCount {
 public:
  explicit ThreadCount(int threads) : before_(at::get_num_threads()) {
    at::set_num_threads(threads);
  }
  ~ThreadCount() { at::set_num_threads(before_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_;
};

struct FloorRun {
  const golden::Reference& reference;
  const golden::Observation& recorded;
  Progress& progress;

  golden::NoiseFloor operator()(engine::LayerStore& store, const engine::Lane& lane,
                                const engine::Packing& packing) const {
    const golden::ObserveRequest request{.lane = &lane,
                                         .sequences = reference.sequences,
                                         .reference_ids = reference.distributions.topk_ids};
    const auto observed = golden::observe(store, {&request, 1}, progress, packing);
    const golden::GoldenDiff diff =
        golden::compare(reference, reference.sequences, observed.front(), 0.0);
    return golden::floor_from(diff, reference, recorded, observed.front());
  }
};

}  // namespace

Json floor_json(const golden::NoiseFloor& floor) {
  Json json = Json::object();
  for (const golden::FloorField& field : golden::floor_fields())
    json[field.key] = floor.*field.member;
  return json;
}

std::map<std::string, golden::NoiseFloor> measure_floors(
    const GoldenJob& job, const AdapterSession* adapter, const golden::Reference& reference,
    const golden::Observation& recorded, engine::LayerStore& store, Progress& progress) {
  const FloorRun run{reference, recorded, progress};
  std::map<std::string, golden::NoiseFloor> floors;
  const engine::Lane lane = job.lane(adapter, job.compute);
  floors["packing"] = run(store, lane, kOtherPacking);
  if (job.device.is_cpu()) {
    const ThreadCount other(at::get_num_threads() == 1 ? 2 : 1);
    floors["threads"] = run(store, lane, {});
  }
  store.release_all();  // two stores at once would hold two budgets
  const at::ScalarType other = job.compute == at::kFloat ? at::kBFloat16 : at::kFloat;
  engine::LayerStore other_store = job.store(other, nullptr);
  floors["compute"] = run(other_store, job.lane(adapter, other), {});
  return floors;
}

}  // namespace loraproof::commands
