// SPDX-License-Identifier: Apache-2.0
// Merged weights against digests that were made with torch in float64
// (tests/oracles/merge_values.py).
#include <algorithm>
#include <filesystem>
#include <string>
#include <unistd.h>

#include "loraproof/commands/merge.h"
#include "loraproof/core/digest.h"
#include "loraproof/core/json.h"
#include "loraproof/core/progress.h"
#include "loraproof/io/checkpoint.h"
#include "support/catch.h"

namespace loraproof::commands {

namespace fs = std::filesystem;

TEST_CASE("merged weights are those of float64, rounded once") {
  const fs::path cases = fs::path(LORAPROOF_SOURCE_DIR) / "tests" / "fixtures" / "merge";
  const fs::path out =
      fs::temp_directory_path() / ("loraproof-merge-values-" + std::to_string(::getpid()));
  int count = 0;
  for (const auto& each : fs::directory_iterator(cases)) {
    INFO(each.path().filename().string());
    const auto progress = make_silent_progress();
    Context context{.progress = *progress};
    const MergeOptions options{.base = (each.path() / "base").string(),
                               .adapters = {(each.path() / "adapter").string()},
                               .out = out,
                               .force = true,
                               .threads = 2,
                               .prove = true};
    REQUIRE(merge(options, context).exit_code() == ExitCode::Pass);
    const Json expected = read_json_file(each.path() / "expected.json");
    REQUIRE(!expected.empty());
    const io::Checkpoint before = io::Checkpoint::open(each.path() / "base");
    const io::Checkpoint merged = io::Checkpoint::open(out);
    for (const auto& [name, digest] : expected.items()) {
      INFO(name);
      const io::TensorView* view = merged.find(name);
      REQUIRE(view != nullptr);
      CHECK(sha256_of(view->bytes) == "sha256:" + digest.get<std::string>());
    }
    for (const io::TensorView& view : before.views()) {
      if (!expected.contains(view.name))
        CHECK(std::ranges::equal(merged.find(view.name)->bytes, view.bytes));
    }
    ++count;
  }
  CHECK(count == 12);
  fs::remove_all(out);
}

}  // namespace loraproof::commands
