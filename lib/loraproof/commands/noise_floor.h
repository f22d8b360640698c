// SPDX-License-Identifier: Apache-2.0
// How far healthy runs of one recording lie apart: the same sequences in the other compute type, in
// another packing, and with another number of threads.
#pragma once

#include <map>
#include <string>

#include "loraproof/commands/golden_job.h"
#include "loraproof/core/json_fwd.h"
#include "loraproof/golden/observe.h"
#include "loraproof/golden/reference.h"

namespace loraproof::commands {

/// One floor per kind of run: "compute", "packing", and on a CPU "threads". `store` is the one that
/// `recorded` was observed with; the thread count is put back.
[[nodiscard]] std::map<std::string, golden::NoiseFloor> measure_floors(
    const GoldenJob& job, const AdapterSession* adapter, const golden::Reference& reference,
    const golden::Observation& recorded, engine::LayerStore& store, Progress& progress);

/// The floor's fields by name.
[[nodiscard]] Json floor_json(const golden::NoiseFloor& floor);

}  // namespace loraproof::commands
