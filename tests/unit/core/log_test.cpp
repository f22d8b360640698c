// SPDX-License-Identifier: Apache-2.0
#include "loraproof/core/log.h"

#include <string>
#include <utility>
#include <vector>

#include "support/catch.h"

namespace loraproof {

TEST_CASE("notes and warnings go to the sink with their level") {
  std::vector<std::pair<log::Level, std::string>> lines;
  log::set_sink([&](log::Level level, std::string_view text) { lines.emplace_back(level, text); });
  log::note("one");
  log::warn("two");
  log::set_sink(nullptr);  // nobody listens: dropped, no crash
  log::note("three");
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] == std::pair(log::Level::Note, std::string("one")));
  CHECK(lines[1] == std::pair(log::Level::Warning, std::string("two")));
}

}  // namespace loraproof
