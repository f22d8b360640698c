// SPDX-License-Identifier: Apache-2.0
// Comparisons against golden/values/drift_compare.json, which tests/oracles/drift_compare.py
// computes from rows of prompts with scipy and numpy.
#include "loraproof/drift/compare.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "loraproof/core/json.h"
#include "loraproof/drift/frequencies.h"
#include "loraproof/drift/merge.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "unit/drift/support.h"

namespace loraproof::drift::test {
namespace {

const Json& oracle() {
  static const Json json = read_json_file(source_path("golden/values/drift_compare.json"));
  return json;
}

RunOptions log_of(const std::string& path) { return {.inputs = {path}}; }

const Profile& reference() {
  static const Profile profile =
      profile_of(log_of(fixture_log()), map_of(log_of(fixture_log())), true);
  return profile;
}
const Profile& window() {
  static const Profile profile =
      profile_of(log_of(source_path("tests/fixtures/drift/window.jsonl").string()),
                 map_of(log_of(fixture_log())));
  return profile;
}

// Two ways of summing; p far out in the tail moves with the last digits of what it is computed of.
void check_close(double found, const Json& expected, double relative = 1e-9) {
  const auto number = expected.get<double>();
  INFO("expected " << number << ", found " << found);
  CHECK(std::abs(found - number) <= relative * std::abs(number) + 1e-15);
}
void check_p(double found, const Json& expected, double relative = 1e-7) {
  const auto number = expected.get<double>();
  INFO("expected " << number << ", found " << found);
  CHECK(std::abs(found - number) <= relative * number);
}

Profile profile_of_lines(const std::vector<std::string>& lines) {
  const loraproof::test::TempDir folder;
  std::string text;
  for (const std::string& line : lines) text += line + '\n';
  return profile_of(log_of(folder.write("log.jsonl", text).string()),
                    map_of(log_of(fixture_log())));
}

std::string refusal(const Profile& a, const Profile& b) {
  try {
    (void)compare(a, b, {});
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("the scan, the sketch and the groups of two logs are Python's") {
  const Comparison result = compare(reference(), window(), {});
  CHECK(result.reference_units == oracle()["units"][0].get<std::int64_t>());
  CHECK(result.window_units == oracle()["units"][1].get<std::int64_t>());

  const Json& scan = oracle()["scan"];
  CHECK(result.tokens.tested == scan["tested"].get<std::size_t>());
  std::vector<std::int32_t> moved;
  for (const Contribution& token : result.tokens.tokens) moved.push_back(token.id);
  std::ranges::sort(moved);
  CHECK(moved == scan["moved"].get<std::vector<std::int32_t>>());
  check_close(result.tokens.changed_share, scan["changed_share"]);
  check_p(*result.find("document_frequency")->p, scan["p"]);

  const Json& sketch = oracle()["sketch"];
  check_p(*result.find("sketch")->p, sketch["p"]);
  check_close(result.find("sketch")->effect,
              sketch["squared_distance"].get<double>() - sketch["expected"].get<double>());

  // A profile has shares in units of 2^-16, Python's are exact.
  constexpr double kFixedPoint = 1e-4;
  const Json& debiased = oracle()["groups"]["debiased"];
  REQUIRE(result.groups);
  check_close(result.groups->plain.psi, oracle()["groups"]["plain"]["psi"], kFixedPoint);
  check_close(result.groups->debiased->psi, debiased["psi"], kFixedPoint);
  check_close(result.groups->debiased->psi_standard_error, debiased["psi_standard_error"],
              kFixedPoint);
  check_close(result.groups->debiased->kl_window_reference, debiased["kl_window_reference"],
              kFixedPoint);
  check_p(*result.find("group_shift")->p, oracle()["groups"]["shift_test"]["p"]);
}

TEST_CASE("lenses are Python's tests of the rows") {
  const Comparison result = compare(reference(), window(), {});
  for (const auto& [name, expected] : oracle()["lenses"].items()) {
    INFO(name);
    const bool script = name.starts_with("script_"), length = name.starts_with("length_");
    const LensShift* lens = script   ? result.find("script", name.substr(7))
                            : length ? result.find("length", name.substr(7))
                                     : result.find(name);
    REQUIRE(lens != nullptr);
    REQUIRE(lens->p);
    if (length) {  // a histogram knows each value within 1 %
      CHECK(std::abs(1 + lens->difference - expected["ratio"].get<double>()) < 0.02);
      CHECK(std::abs(*lens->p - expected["p"].get<double>()) < 0.05);
      continue;
    }
    if (name != "tokens_per_byte") check_close(lens->difference, expected["difference"]);
    const auto some = expected["some"].get<std::vector<double>>();
    const auto n = expected["n"].get<std::vector<double>>();
    const bool rare = (some[0] + some[1]) * std::min(n[0], n[1]) / (n[0] + n[1]) < 25;
    if (rare) {
      CHECK(lens->test == "Fisher mid-p");
      check_p(*lens->p, expected["fisher_p"]);
    } else if (lens->test == "score z") {
      check_p(*lens->p, expected["p"]);
    }
  }
}

TEST_CASE("a profile against itself: nothing moved") {
  const Comparison result = compare(reference(), reference(), {});
  CHECK(result.tokens.discoveries == 0);
  CHECK(result.tokens.changed_share == 0);
  for (const LensShift& lens : result.lenses) {
    INFO(lens.id << " " << lens.subject);
    if (lens.p) CHECK(lens.adjusted_p > 0.5);
    CHECK(lens.effect == 0);
  }
  CHECK(result.groups->plain.psi == 0);
}

TEST_CASE("sealing makes no difference where there is none") {
  const Profile sealed = seal(reference(), Key::published(), {.min_prompts = 10});
  for (const auto& [a, b] : {std::pair(&sealed, &reference()), std::pair(&reference(), &sealed),
                             std::pair(&sealed, &sealed)}) {
    const Comparison result = compare(*a, *b, {});
    CHECK(result.tokens.discoveries == 0);
    CHECK(result.bigrams.discoveries == 0);
    CHECK_FALSE(result.vocabulary);
  }
  // And hides only what is rare.
  const Comparison moved = compare(sealed, seal(window(), Key::published(), {}), {});
  CHECK(moved.tokens.discoveries > 20);
  CHECK(moved.tokens.changed_share > 0.1);
}

TEST_CASE("a count that a sealed side hides is taken as the least surprising one") {
  Profile a = empty_profile(), b = empty_profile();
  a.units = 1000;
  b.units = 100;
  a.token_counts = {{.id = 1, .df = 900, .tf = 900}, {.id = 2, .df = 40, .tf = 40}};
  b.seal = Seal{.min_prompts = 10};
  const PairedCounts counts = token_frequencies(a, b);
  CHECK(counts.ids == std::vector<std::int32_t>{1, 2});
  CHECK(counts.window == std::vector<std::int64_t>{9, 4});
}

TEST_CASE("disjoint texts: everything is finite, and certain") {
  std::vector<std::string> lines(60, R"({"prompt": "zzz qqq 999"})");
  const Profile other = profile_of_lines(lines);
  const Comparison result = compare(reference(), other, {});
  CHECK(result.tokens.changed_share > 0.3);
  CHECK(std::isfinite(result.groups->plain.psi));
  for (const LensShift& lens : result.lenses) CHECK(std::isfinite(lens.effect));
}

TEST_CASE("too few prompts test nothing, however different they are") {
  const Profile few = profile_of_lines(std::vector<std::string>(5, R"({"prompt": "zzz"})"));
  const Comparison result = compare(reference(), few, {});
  for (const LensShift& lens : result.lenses) {
    INFO(lens.id);
    CHECK_FALSE(lens.p);
    CHECK(lens.effect == 0);
    CHECK_FALSE(lens.reason.empty());
  }
  CHECK(compare(reference(), profile_of_lines({}), {}).window_units == 0);
}

TEST_CASE("profiles of different fingerprints are refused by what differs") {
  Profile other = window();
  other.fingerprint.tokenizer = "sha256:other";
  CHECK(refusal(reference(), other).find("the tokenizer differs") != std::string::npos);
  other = window();
  other.fingerprint.map = "sha256:other";
  CHECK(refusal(reference(), other).find("the map differs") != std::string::npos);
  other = window();
  other.features.push_back({.name = "tier"});
  CHECK(refusal(reference(), other).find("their features differ") != std::string::npos);
}

}  // namespace loraproof::drift::test
