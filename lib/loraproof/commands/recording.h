// SPDX-License-Identifier: Apache-2.0
// The making of one reference: decode, score, measure the noise floor and the base.
#pragma once

#include <filesystem>
#include <vector>

#include "loraproof/commands/golden_job.h"
#include "loraproof/golden/observe.h"
#include "loraproof/golden/reference.h"

namespace loraproof::commands {

struct Recording {
  const AdapterSession* adapter = nullptr;  ///< null: the base alone
  std::filesystem::path folder;             ///< where the reference will lie
  golden::Reference reference;
};

/// A reference that says what it is of and how it will be made, and holds no answers yet.
[[nodiscard]] golden::Reference new_reference(const GoldenJob& job, const report::ToolInfo& tool,
                                              const TextInput& text);

/// One recording per adapter, or one of the base alone. Throws for a name that can't be used, and
/// for a folder that exists without --force.
[[nodiscard]] std::vector<Recording> begin_recordings(const GoldenJob& job,
                                                      const report::ToolInfo& tool,
                                                      const TextInput& text);

/// Decodes every prompt greedily: the reference's sequences.
void decode_answers(const GoldenJob& job, engine::LayerStore& store,
                    const std::vector<std::vector<std::int32_t>>& prompt_ids, Recording& recording,
                    Progress& progress);

/// Scores the reference's sequences, and the expected answers that differ from their answers, in
/// one sweep. Returns what was seen of the answers.
[[nodiscard]] golden::Observation score_answers(const GoldenJob& job, const TextInput& text,
                                                engine::LayerStore& store, Recording& recording,
                                                Progress& progress);

/// The noise floor. Throws an input Error when the recorded run is not finite.
void measure_floor(const GoldenJob& job, const golden::Observation& recorded,
                   engine::LayerStore& store, Recording& recording, Progress& progress);

/// The noise floor, and what the base does without the adapter.
void finish_recording(const GoldenJob& job, const TextInput& text,
                      const golden::Observation& recorded, engine::LayerStore& store,
                      Recording& recording, Progress& progress);

}  // namespace loraproof::commands
