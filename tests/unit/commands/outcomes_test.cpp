// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/outcomes.h"

#include "support/catch.h"

namespace loraproof::commands {

TEST_CASE("outcomes pair what was right with what is right") {
  golden::Suite suite;
  for (const char* id : {"a", "b", "c", "d"}) suite.prompts.push_back({.id = id});
  for (std::size_t i = 0; i < 3; ++i)
    suite.prompts[i].expected.emplace(golden::MatchKind::Exact, "yes", "", "");
  const ExpectedOutcomes outcomes =
      outcomes_of(suite, {"yes", "yes", "no", "yes"}, {"yes", "no", "yes", "no"});
  const OutcomeCounts counts = count(outcomes);
  CHECK(counts.flips.n == 3);
  CHECK(counts.right_then == 2);
  CHECK(counts.right_now == 2);
  CHECK(counts.flips.lost == 1);
  CHECK(counts.flips.gained == 1);
  CHECK(flip_name(outcomes[0]).empty());
  CHECK(flip_name(outcomes[1]) == "right_to_wrong");
  CHECK(flip_name(outcomes[2]) == "wrong_to_right");
  CHECK(flip_name(outcomes[3]).empty());
}

}  // namespace loraproof::commands
