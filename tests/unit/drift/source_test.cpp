// SPDX-License-Identifier: Apache-2.0
// Logs as files: packed, cut short, with lines of all lengths, in sessions.
#include "loraproof/drift/source.h"

#include <functional>
#include <zlib.h>
#include <zstd.h>

#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "loraproof/drift/batch.h"
#include "loraproof/drift/clusters.h"
#include "loraproof/drift/profile_file.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "unit/drift/support.h"

namespace loraproof::drift::test {
namespace {

using loraproof::test::TempDir;

std::string gzipped(const std::string& text) {
  std::string out(::compressBound(text.size()) + 64, '\0');
  z_stream stream{};
  REQUIRE(::deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(::deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  ::deflateEnd(&stream);
  return out;
}

std::string zstd_packed(const std::string& text) {
  std::string out(::ZSTD_compressBound(text.size()), '\0');
  out.resize(::ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::string read_all(const std::string& path) {
  const auto source = open_source(path);
  std::string out;
  std::vector<char> buffer(1000);
  while (const std::size_t count = source->read(buffer.data(), buffer.size()))
    out.append(buffer.data(), count);
  return out;
}

std::string message_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::Input);
    return error.detail().message;
  }
  return "no error";
}

struct Lines {
  std::vector<std::string> texts;
  std::vector<std::int64_t> numbers;
  std::vector<std::int64_t> too_long;
};

Lines lines_read(const std::string& path, std::size_t max_line_bytes) {
  BatchReader reader(path, 0, max_line_bytes, nullptr);
  Lines out;
  for (Batch batch; reader.next(batch);) {
    for (const Batch::Line& line : batch.lines) {
      out.texts.emplace_back(batch.text(line));
      out.numbers.push_back(line.number);
    }
    for (const BadLine& line : batch.bad) out.too_long.push_back(line.line);
  }
  return out;
}

}  // namespace

TEST_CASE("packed files are read as their content, several members as one") {
  const TempDir folder;
  std::string text;
  for (int i = 0; i < 100000; ++i) text += std::to_string(i * 7919) + "\n";
  CHECK(read_all(folder.write("plain", text).string()) == text);
  CHECK(read_all(folder.write("a", gzipped(text)).string()) == text);
  CHECK(read_all(folder.write("b", zstd_packed(text)).string()) == text);
  CHECK(read_all(folder.write("c", gzipped("x\n") + gzipped("y\n")).string()) == "x\ny\n");
  CHECK(read_all(folder.write("d", zstd_packed("x\n") + zstd_packed("y\n")).string()) == "x\ny\n");
  CHECK(read_all(folder.write("e", "").string()).empty());
}

TEST_CASE("packed files that are cut short or damaged are errors") {
  const TempDir folder;
  std::string text;
  for (int i = 0; i < 50000; ++i) text += std::to_string(i * 7919) + "\n";
  const std::string gz = gzipped(text);
  const std::string zst = zstd_packed(text);
  for (const double share : {0.0005, 0.1, 0.5, 0.999}) {
    const auto cut = [&](const std::string& packed) {
      return packed.substr(
          0, 5 + static_cast<std::size_t>(share * static_cast<double>(packed.size() - 6)));
    };
    CHECK(message_of([&] { (void)read_all(folder.write("gz", cut(gz)).string()); }) ==
          "the gzip file is cut short");
    CHECK(message_of([&] { (void)read_all(folder.write("zst", cut(zst)).string()); }) ==
          "the zstd file is cut short");
  }
  std::string damaged = gz;
  damaged[gz.size() / 2] = static_cast<char>(damaged[gz.size() / 2] ^ 0x55);
  CHECK(message_of([&] { (void)read_all(folder.write("x", damaged).string()); }) ==
        "the gzip file is damaged");
  CHECK(message_of([&] { (void)read_all(folder.write("y", gz + "tail").string()); }) ==
        "the gzip file is damaged");
  CHECK(message_of([&] { (void)read_all(folder.path().string()); }) == "is a folder");
  CHECK(message_of([&] {
          (void)read_all((folder.path() / "none").string());
        }).find("cannot open") == 0);
}

TEST_CASE("lines keep their numbers, blank and too long ones are left out") {
  const TempDir folder;
  const std::string huge(3'000'000, 'x');
  const auto path =
      folder.write("log", "\xEF\xBB\xBFone\r\n\n  \nfour\n" + huge + "\nsix\n12345678901\n" + huge);
  const Lines lines = lines_read(path.string(), 10);
  CHECK(lines.texts == std::vector<std::string>{"one", "four", "six"});
  CHECK(lines.numbers == std::vector<std::int64_t>{1, 4, 6});
  CHECK(lines.too_long == std::vector<std::int64_t>{5, 7, 8});
  CHECK(lines_read(path.string(), 4'000'000).texts.size() == 6);
  CHECK(lines_read(folder.write("empty", "").string(), 10).texts.empty());
  CHECK(message_of([&] { (void)lines_read(folder.write("u", "\xFF\xFEx").string(), 10); }) ==
        "text is UTF-16");
}

TEST_CASE("malformed lines are counted with their numbers, strict stops at the first") {
  const TempDir folder;
  std::string text;
  for (int i = 1; i <= 60; ++i)
    text += i % 10 == 3 ? "{broken\n" : "{\"prompt\":\"hello there\"}\n";
  text += "{\"other\":1}\n";
  RunOptions options{.inputs = {folder.write("log", text).string()}, .threads = GENERATE(1, 3)};
  const Map map = map_of({.inputs = {fixture_log()}});
  RunNotes notes;
  const Profile profile = profile_of(options, map, false, notes);
  const MalformedLines& json = profile.malformed[static_cast<std::size_t>(Malformed::Json)];
  CHECK(json.count == 6);
  REQUIRE(json.first.size() == 5);
  CHECK(json.first[0].line == 3);
  CHECK(json.first[4].line == 43);
  CHECK(profile.malformed[static_cast<std::size_t>(Malformed::MissingField)].count == 1);
  CHECK(profile.units == 54);
  options.strict = true;
  CHECK(message_of([&] { (void)profile_of(options, map); }) == "a malformed line: not JSON");
}

TEST_CASE("sessions are units, also when their lines stand apart") {
  const TempDir folder;
  const auto line = [](int session, const std::string& prompt) {
    return "{\"s\":" + std::to_string(session) + ",\"prompt\":\"" + prompt + "\"}\n";
  };
  RunOptions options{.inputs = {folder
                                    .write("log", line(1, "one two") + line(2, "three") +
                                                      line(1, "four") + "{\"prompt\":\"x\"}\n")
                                    .string()}};
  options.record.cluster = "/s";
  Map map = map_of({.inputs = {fixture_log()}});
  map.clustered = true;
  const Profile profile = profile_of(options, map);
  CHECK(profile.units == 2);
  CHECK(profile.records == 3);
  CHECK(profile.malformed[static_cast<std::size_t>(Malformed::MissingField)].count == 1);
  RunOptions sorted = options;
  sorted.inputs = {
      folder.write("sorted", line(2, "three") + line(1, "one two") + line(1, "four")).string()};
  Profile same = profile_of(sorted, map);
  CHECK(same.token_counts == profile.token_counts);
  CHECK(same.sketch_products == profile.sketch_products);
}

TEST_CASE("a session that comes back too late is an error") {
  Batch batch;
  for (int i = 0; i < 3; ++i) {
    const std::string line =
        "{\"s\":" + std::to_string(i % 2) + ",\"prompt\":\"" + std::string(200, 'a') + "\"}";
    batch.lines.push_back({.begin = batch.data.size(), .size = line.size(), .number = i + 1});
    batch.data += line + "\n";
  }
  batch.data.append(kPadding, '\0');
  RecordOptions options;
  options.cluster = "/s";
  ClusterBatcher small(options, 100);
  CHECK(message_of([&] { small.add(batch); }) ==
        "a session comes back after too much other traffic");
  ClusterBatcher large(options);
  large.add(batch);
  large.finish();
  Batch out;
  REQUIRE(large.take(out));
  CHECK(out.unit_ends == std::vector<std::size_t>{1, 3});
  CHECK_FALSE(large.take(out));
}

TEST_CASE("the same content in two inputs would be counted twice") {
  const TempDir folder;
  const auto copy = folder.write("copy", "{\"prompt\":\"a\"}\n");
  const auto again = folder.write("again", "{\"prompt\":\"a\"}\n");
  const Map map = map_of({.inputs = {fixture_log()}});
  CHECK(message_of([&] {
          (void)profile_of({.inputs = {copy.string(), again.string()}}, map);
        }).find("counted twice") != std::string::npos);
  const Profile named = profile_of({.inputs = {copy.string(), again.string()}, .part = "p7"}, map);
  CHECK(named.parts == std::vector<std::string>{"p7"});
  CHECK(profile_of({.inputs = {folder.write("empty", "").string()}}, map).parts.empty());
}

}  // namespace loraproof::drift::test
