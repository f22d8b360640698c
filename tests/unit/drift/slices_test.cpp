// SPDX-License-Identifier: Apache-2.0
// Parts of a log beside the whole: segments against profiles of the filtered log, windows of a
// reference, limits from them.
#include "loraproof/drift/slices.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "loraproof/drift/calibrate.h"
#include "loraproof/drift/merge.h"
#include "loraproof/drift/profile_file.h"
#include "loraproof/drift/segments.h"
#include "support/catch.h"
#include "support/errors.h"
#include "support/temp_dir.h"
#include "unit/drift/support.h"

namespace loraproof::drift::test {
namespace {

using loraproof::test::input_error_of;
using loraproof::test::TempDir;

const Map& record_map() {
  static const Map map = map_of({.inputs = {fixture_log()}}, Holdout::Record);
  return map;
}

RunOptions options_of(const std::string& path, bool segmented) {
  RunOptions options{.inputs = {path}};
  options.record.features = {{"tier", "/tier"}};
  if (segmented) options.record.by = "tier";
  return options;
}

std::string window_log() { return source_path("tests/fixtures/drift/window.jsonl").string(); }

std::string tier_of(const std::string& line) {
  const Json json = Json::parse(line);
  return json.contains("tier") ? json["tier"].get<std::string>() : "";
}

// The profile of the lines of one tier alone.
Profile profile_of_tier(const TempDir& folder, const std::string& tier) {
  std::string text;
  for (const std::string& line : lines_of(window_log())) {
    if (tier_of(line) == tier) text += line + '\n';
  }
  const auto path = folder.write(tier + ".jsonl", text);
  return profile_of(options_of(path.string(), false), record_map());
}

std::vector<std::string> slices_of(const Slicing& slicing, std::int64_t line) {
  std::vector<std::string> names;
  slicing.slices_of({}, line, names);
  return names;
}

}  // namespace

TEST_CASE("a segment is the profile of its lines, whatever the threads") {
  const TempDir folder;
  RunOptions options = options_of(window_log(), true);
  options.threads = GENERATE(1, 3);
  const Profile profile = profile_of(options, record_map());
  CHECK(profile.segmented_by == "tier");
  std::set<std::string> tiers;
  for (const std::string& line : lines_of(window_log())) {
    if (const std::string tier = tier_of(line); !tier.empty()) tiers.insert(tier);
  }
  REQUIRE(profile.segments.size() == tiers.size());
  REQUIRE(tiers.size() >= 2);
  for (const Segment& segment : profile.segments) {
    INFO(segment.value);
    REQUIRE(tiers.count(segment.value) == 1);
    CHECK(segment.counts == static_cast<const Counts&>(profile_of_tier(folder, segment.value)));
  }
  const Profile whole = profile_of(options_of(window_log(), false), record_map());
  CHECK(static_cast<const Counts&>(profile) == static_cast<const Counts&>(whole));
}

TEST_CASE("segments are merged, sealed and read back") {
  const TempDir folder;
  const std::vector<std::string> lines = lines_of(window_log());
  std::vector<Profile> parts;
  for (const char* name : {"first", "second", "third"}) {
    std::string text;
    for (std::size_t i = parts.size(); i < lines.size(); i += 3) text += lines[i] + '\n';
    const auto path = folder.write(name, text);
    parts.push_back(profile_of(options_of(path.string(), true), record_map()));
  }
  Profile forward = parts[0], backward = parts[2];
  merge(forward, parts[1]);
  merge(forward, parts[2]);
  merge(backward, parts[1]);
  merge(backward, parts[0]);
  CHECK(to_bytes(forward) == to_bytes(backward));
  CHECK(forward.segments == profile_of(options_of(window_log(), true), record_map()).segments);
  CHECK(std::get<Profile>(parse_stored(to_bytes(forward))) == forward);

  const Profile sealed = seal(forward, Key::published(), {.min_prompts = 10});
  CHECK(std::get<Profile>(parse_stored(to_bytes(sealed))) == sealed);
  CHECK(sealed.segments.size() < forward.segments.size());  // those of fewer than 50 prompts
  for (const Segment& segment : sealed.segments) {
    CHECK(segment.counts.units >= kMinSealedUnits);
    for (const TokenCount& token : segment.counts.token_counts) CHECK(token.df >= 10);
  }

  const Profile plain = profile_of(options_of(fixture_log(), false), record_map());
  CHECK(input_error_of([&] { merge(forward, plain); }).message ==
        "these profiles don't belong together: their segments differ");
  CHECK(input_error_of([&] { (void)compare(forward, plain, {}); }).message ==
        "these profiles can't be compared: their segments differ");
}

TEST_CASE("a field with too many values is no segment") {
  const TempDir folder;
  std::string text;
  for (std::size_t i = 0; i <= kMaxSegments; ++i)
    text += R"({"prompt": "hello", "tier": )" + std::to_string(i) + "}\n";
  const auto path = folder.write("log.jsonl", text);
  const ErrorDetail detail =
      input_error_of([&] { (void)profile_of(options_of(path.string(), true), record_map()); });
  CHECK(detail.where == "--by tier");
  CHECK(detail.expected == "at most 64");
}

TEST_CASE("what was added can be taken away") {
  const Profile log = profile_of(options_of(fixture_log(), false), record_map());
  const Profile window = profile_of(options_of(window_log(), false), record_map());
  Counts sum = log;
  add_counts(sum, window);
  take_away(sum, window);
  CHECK(sum == static_cast<const Counts&>(log));
  take_away(sum, log);
  CHECK(sum.units == 0);
  CHECK(sum.token_counts.empty());
  CHECK(sum.lens(Lens::LengthTokens) == LensState{});
}

TEST_CASE("random windows have the size that was asked for, and are the same in every run") {
  constexpr std::int64_t kLines = 20'000;
  const RandomSlicing slicing(Key::published(), 5, 2'000, kLines);
  std::vector<std::int64_t> sizes(5);
  std::int64_t both = 0;
  for (std::int64_t line = 1; line <= kLines; ++line) {
    const std::vector<std::string> names = slices_of(slicing, line);
    CHECK(names == slices_of(slicing, line));
    for (const std::string& name : names) ++sizes.at(static_cast<std::size_t>(std::stoi(name)));
    both += std::ranges::count(names, "0") > 0 && std::ranges::count(names, "1") > 0 ? 1 : 0;
  }
  for (const std::int64_t size : sizes) CHECK(std::abs(size - 2'000) < 5 * std::sqrt(1'800.0));
  CHECK(std::abs(both - 200) < 5 * std::sqrt(198.0));  // drawn independently
  const RandomSlicing half(Key::published(), 1, 900, 1'000);
  std::int64_t drawn = 0;
  for (std::int64_t line = 1; line <= kLines; ++line)
    drawn += static_cast<std::int64_t>(slices_of(half, line).size());
  CHECK(std::abs(drawn - kLines / 2) < 5 * std::sqrt(kLines / 4.0));
}

TEST_CASE("consecutive windows are runs of lines that don't overlap") {
  const TimeSlicing slicing(7, 100, 1'000);
  std::vector<std::vector<std::int64_t>> lines(7);
  for (std::int64_t line = 1; line <= 1'000; ++line) {
    const std::vector<std::string> names = slices_of(slicing, line);
    REQUIRE(names.size() <= 1);
    for (const std::string& name : names)
      lines.at(static_cast<std::size_t>(std::stoi(name))).push_back(line);
  }
  for (const auto& window : lines) {
    REQUIRE(window.size() == 100);
    CHECK(window.back() - window.front() == 99);
  }
  CHECK(lines.front().front() == 1);
  CHECK(lines.back().front() == 859);  // after 6/7 of 1000 lines
}

TEST_CASE("limits are mean and three deviations of the effects of the reference's windows") {
  const RunOptions options{.inputs = {fixture_log()}};
  const Map map = map_of(options);
  const auto slicing = calibration_windows(Calibration::Random, Key::published(), 60,
                                           map.seen - map.units, map.seen);
  RunNotes notes;
  const auto progress = make_silent_progress();
  const ReferenceWindows made = make_reference_windows(
      options, {demo_encoder(), Key::published(), map}, *slicing, *progress, notes);
  CHECK(made.reference == profile_of(options, map, true));
  CHECK(made.windows.size() == kMaxCalibrationWindows);
  const std::vector<LensLimit> limits = calibrated_limits(made.reference, made.windows, {});
  const auto length = std::ranges::find_if(limits, [](const LensLimit& each) {
    return each.id == "length" && each.subject == "tokens";
  });
  REQUIRE(length != limits.end());
  // The same by hand: the window's own counts against the sum of what is not in it.
  std::vector<double> effects;
  for (const Segment& window : made.windows) {
    Counts rest = made.reference;
    take_away(rest, window.counts);
    CHECK(rest.units + window.counts.units == made.reference.units);
    const auto& a = rest.lens(Lens::LengthTokens);
    const auto& b = window.counts.lens(Lens::LengthTokens);
    const auto mean = [](const LensState& state) {
      double sum = 0;
      for (const auto& [key, count] : state.bins)
        sum += std::log(log_value(key)) * static_cast<double>(count);
      return sum / static_cast<double>(state.units - state.zeros);
    };
    effects.push_back(std::abs(std::exp(mean(b) - mean(a)) - 1));
  }
  double sum = 0, squares = 0;
  for (const double effect : effects) sum += effect;
  const double mean = sum / static_cast<double>(effects.size());
  for (const double effect : effects) squares += (effect - mean) * (effect - mean);
  const double deviation = std::sqrt(squares / (static_cast<double>(effects.size()) - 1));
  CHECK(length->windows == effects.size());
  CHECK(length->limit == Approx(mean + 3 * deviation).epsilon(1e-9));
  CHECK(length->largest == Approx(std::ranges::max(effects)).epsilon(1e-9));
}

TEST_CASE("a reference too short for its variation over time is refused") {
  const ErrorDetail detail = input_error_of(
      [] { (void)calibration_windows(Calibration::Time, Key::published(), 100, 450, 600); });
  CHECK(detail.expected == "5 windows of 100 prompts");
  CHECK(detail.found == "450 prompts");
}

TEST_CASE("all segments and the whole are one family of tests") {
  const Profile reference = profile_of(options_of(fixture_log(), true), record_map(), true);
  const Profile window = profile_of(options_of(window_log(), true), record_map());
  Comparison whole = compare(reference, window, {});
  const double alone = whole.find("document_frequency")->adjusted_p;
  const SegmentComparisons segments = compare_segments(reference, window, {.min_units = 30}, whole);
  CHECK(segments.compared.size() >= 2);
  std::vector<double> p;
  double smallest = 1;
  for (const LensShift& lens : whole.lenses) {
    if (lens.p) p.push_back(*lens.p);
  }
  for (const SegmentComparison& segment : segments.compared) {
    for (const LensShift& lens : segment.comparison.lenses) {
      if (!lens.p) continue;
      p.push_back(*lens.p);
      smallest = std::min(smallest, lens.adjusted_p);
      CHECK(lens.adjusted_p >= *lens.p);
    }
  }
  const auto tests = static_cast<double>(p.size());
  for (const LensShift& lens : whole.lenses) {
    if (lens.p) smallest = std::min(smallest, lens.adjusted_p);
  }
  CHECK(smallest == Approx(tests * std::ranges::min(p)).epsilon(1e-12));
  CHECK(whole.find("document_frequency")->adjusted_p >= alone);
}

}  // namespace loraproof::drift::test
