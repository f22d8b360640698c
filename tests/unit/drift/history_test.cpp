// SPDX-License-Identifier: Apache-2.0
// The memory of windows: files, and what they say together.
#include "loraproof/drift/history.h"

#include <cmath>
#include <string>

#include "loraproof/core/error.h"
#include "loraproof/core/file.h"
#include "support/catch.h"
#include "support/errors.h"
#include "support/temp_dir.h"

namespace loraproof::drift {
namespace {

using loraproof::test::input_error_of;
using loraproof::test::TempDir;

WindowRecord window_of(std::string name, double z, double p = 1) {
  return {.window = std::move(name),
          .reference_units = 3000,
          .window_units = 1000,
          .p = p,
          .sketch_z = z};
}

ErrorDetail refusal_of(const std::filesystem::path& path, const std::string& reference) {
  return input_error_of([&] { (void)read_history(path, reference); });
}

}  // namespace

TEST_CASE("a history is read as it was written, and none is an empty one") {
  const TempDir folder;
  const auto path = folder.path() / "windows.jsonl";
  History history = read_history(path, "sha256:aa");
  CHECK(history.windows.empty());
  history.windows = {window_of("sha256:01", 0.1234567890123456, 1e-17), window_of("sha256:02", -3)};
  history.windows[0].failed = {"drift.length tokens", "drift.sketch"};
  history.windows[1].sketch_z.reset();
  write_history(path, history);
  const History read = read_history(path, "sha256:aa");
  REQUIRE(read.windows.size() == 2);
  CHECK(read.windows[0].sketch_z == 0.1234567890123456);
  CHECK(read.windows[0].p == 1e-17);
  CHECK(read.windows[0].failed == history.windows[0].failed);
  CHECK_FALSE(read.windows[1].sketch_z);
  CHECK(read.find("sha256:02") == 1U);
  CHECK_FALSE(read.find("sha256:03"));
}

TEST_CASE("a history of something else is refused by line") {
  const TempDir folder;
  const auto path = folder.path() / "windows.jsonl";
  write_history(path, {.reference = "sha256:aa", .windows = {window_of("sha256:01", 0)}});
  CHECK(refusal_of(path, "sha256:bb").message == "this history belongs to another reference");
  const std::string good = read_text_file(path);
  const auto broken = [&](const std::string& text) {
    return refusal_of(folder.write("broken.jsonl", text), "sha256:aa").where;
  };
  CHECK(broken(good + "{\"schema\": 1}\n").starts_with("line 2"));
  CHECK(broken(good.substr(0, good.size() / 2)).starts_with("line 1"));
  std::string negative = good;
  negative.replace(negative.find("\"p\":1.0"), 7, "\"p\":-1");
  CHECK(broken(negative).starts_with("line 1, "));
  std::string none = good;
  none.replace(none.find("1000"), 4, "0");
  CHECK(broken(none).starts_with("line 1, "));
}

TEST_CASE("creep is Page's sum with the slack of a shared reference, one window capped at 4") {
  // Slack: 1/2 + 2 * 1000 / 4000 = 1.
  const Sequence calm = sequence_of({window_of("a", 0.9), window_of("b", -2), window_of("c", 1)});
  CHECK(calm.creep == 0);
  CHECK(calm.windows == 3);
  const Sequence shock = sequence_of({window_of("a", 70), window_of("b", 0.5)});
  CHECK(shock.largest_creep == 3);  // 4 - 1
  CHECK(shock.creep == 2.5);        // + 0.5 - 1
  std::vector<WindowRecord> creep(9, window_of("a", 2));
  CHECK(sequence_of(creep).creep == 9);
  creep[4].sketch_z.reset();
  CHECK(sequence_of(creep).creep == 8);
}

TEST_CASE("the windows' evidence is the mean of their e-values, always finite") {
  // e(1) = 1/2; e(0.01) = (1 - p + p ln p) / (p ln^2 p).
  const double log_p = std::log(0.01), e = (0.99 + 0.01 * log_p) / (0.01 * log_p * log_p);
  CHECK(sequence_of({window_of("a", 0, 1), window_of("b", 0, 0.01)}).mean_e ==
        Approx((0.5 + e) / 2).epsilon(1e-12));
  CHECK(std::isfinite(sequence_of({window_of("a", 0, 0)}).mean_e));
  CHECK(sequence_of({}).mean_e == 0);
}

}  // namespace loraproof::drift
