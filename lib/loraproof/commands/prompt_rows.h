// SPDX-License-Identifier: Apache-2.0
// The report's prompts[]: one object per prompt and lane, with keys as docs/schema/report-1.json
// has them.
#pragma once

#include <string>
#include <vector>

#include "loraproof/commands/inputs.h"
#include "loraproof/commands/lanes.h"
#include "loraproof/commands/outcomes.h"
#include "loraproof/core/json_fwd.h"

namespace loraproof::commands {

/// What one lane says to the suite's prompts.
struct LaneTexts {
  std::string lane;
  std::vector<std::string> then;  ///< recorded answers
  std::vector<std::string> now;
  ExpectedOutcomes outcomes;
};
void add_prompt_rows(Json& prompts, const golden::Suite& suite, const TextInput& text,
                     const golden::GoldenDiff& diff, const LaneTexts& texts);

}  // namespace loraproof::commands
