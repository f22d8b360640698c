// SPDX-License-Identifier: Apache-2.0
// The values of tensor_digest and combined_digest are compared with Python's hashlib in
// safetensors_test.cpp (tests/oracles/io_safetensors.json).
#include "loraproof/io/digest.h"

#include <chrono>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <string>
#include <sys/stat.h>
#include <vector>

#include "loraproof/core/error.h"
#include "loraproof/core/log.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "unit/io/bytes.h"
#include "unit/io/scoped_environment.h"

using loraproof::io::DigestByName;
using loraproof::io::DigestCache;
using loraproof::io::DigestStamp;
using loraproof::io::DType;
using loraproof::io::TensorView;
using loraproof::test::bytes_of;
using loraproof::test::ScopedEnvironment;
using loraproof::test::TempDir;

namespace fs = std::filesystem;

namespace {

const DigestByName kDigests = {{"w", "sha256:" + std::string(64, 'a')},
                               {"b\"\n", "sha256:" + std::string(64, '0')}};

// Messages of one test; the default sink comes back with the next test that sets its own.
class CapturedLog {
 public:
  CapturedLog() {
    loraproof::log::set_sink([this](loraproof::log::Level, std::string_view message) {
      messages.emplace_back(message);
    });
  }
  ~CapturedLog() { loraproof::log::set_sink(nullptr); }
  std::vector<std::string> messages;
};

// A stamp as a file that has been at rest for a minute has it. The change time cannot be set back,
// so the cache file is written by hand in tests that need an entry of a file just made.
std::string cache_text(const fs::path& file, const DigestStamp& stamp, const std::string& digest) {
  return R"({"schema":"loraproof.digests/1","files":{")" + fs::canonical(file).string() +
         R"(":{"stamp":{"size":)" + std::to_string(stamp.file.size_bytes) + R"(,"mtime_ns":)" +
         std::to_string(stamp.file.mtime_ns) + R"(,"ctime_ns":)" + std::to_string(stamp.ctime_ns) +
         R"(,"inode":)" + std::to_string(stamp.file.inode) + R"(,"device":)" +
         std::to_string(stamp.file.device) + R"(},"digests":{"w":")" + digest + R"("}}}})";
}

}  // namespace

TEST_CASE("digest: type, shape and bytes count, name and place do not") {
  const std::string data = "abcd";
  const TensorView base{"w", DType::U8, {4}, bytes_of(data)};
  TensorView other = base;
  other.name = "v";
  CHECK(tensor_digest(other) == tensor_digest(base));
  other.dtype = DType::I8;
  CHECK(tensor_digest(other) != tensor_digest(base));
  other = base;
  other.shape = {2, 2};
  CHECK(tensor_digest(other) != tensor_digest(base));
  const std::string changed = "abce";
  other = base;
  other.bytes = bytes_of(changed);
  CHECK(tensor_digest(other) != tensor_digest(base));
}

TEST_CASE("digest: the combined digest tells names and digests apart") {
  CHECK(loraproof::io::combined_digest({{"a", "x"}, {"b", "y"}}) !=
        loraproof::io::combined_digest({{"a", "y"}, {"b", "x"}}));
  CHECK(loraproof::io::combined_digest({{"a\nx 1 b", "x"}}) !=
        loraproof::io::combined_digest({{"a", "x"}, {"b", "x"}}));
}

TEST_CASE("digest cache: the folder comes from the environment") {
  ScopedEnvironment environment({"LORAPROOF_CACHE", "XDG_CACHE_HOME", "HOME"});
  CHECK(DigestCache::default_folder().empty());
  environment.set("HOME", "/h");
  CHECK(DigestCache::default_folder() == "/h/.cache/loraproof");
  environment.set("XDG_CACHE_HOME", "/x");
  CHECK(DigestCache::default_folder() == "/x/loraproof");
  environment.set("LORAPROOF_CACHE", "/l");
  CHECK(DigestCache::default_folder() == "/l");
}

TEST_CASE("digest cache: an entry is found while the file is what it was, and never after") {
  const TempDir folder;
  const CapturedLog log;
  const auto file = folder.write("m.safetensors", "content");
  const std::string digest = "sha256:" + std::string(64, 'c');
  const fs::path cache = folder.path() / "cache";
  folder.write("cache/digests.json", cache_text(file, DigestCache::stamp(file), digest));

  const auto hit = DigestCache(cache).find(file);
  REQUIRE(hit.has_value());
  CHECK(hit->at("w") == digest);
  fs::create_symlink(file, folder.path() / "link");
  CHECK(DigestCache(cache).find(folder.path() / "link").has_value());
  CHECK_FALSE(DigestCache(cache).find(folder.write("other", "content")).has_value());

  SECTION("size changed") { folder.write("m.safetensors", "content and more"); }
  SECTION("overwritten in place, size and modification time put back") {
    struct stat before {};
    REQUIRE(::stat(file.c_str(), &before) == 0);
    const timespec times[2] = {before.st_atim, before.st_mtim};
    const DigestStamp old = DigestCache::stamp(file);
    do {  // until the clock of the file system has moved on: its ticks are milliseconds long
      folder.write("m.safetensors", "CONTENT");
      REQUIRE(::utimensat(AT_FDCWD, file.c_str(), times, 0) == 0);
    } while (DigestCache::stamp(file) == old);
    REQUIRE(loraproof::stamp_of(file) == old.file);
  }
  SECTION("replaced by another file") {
    const auto fresh = folder.write("fresh", "CONTENT");
    fs::last_write_time(fresh, fs::last_write_time(file));
    fs::rename(fresh, file);
  }
  CHECK_FALSE(DigestCache(cache).find(file).has_value());
  CHECK(log.messages.empty());
}

TEST_CASE("digest cache: what was stored is there for the next run") {
  const TempDir folder;
  const CapturedLog log;
  // A file at rest: part of the source tree, so older than the doubt of two seconds.
  const fs::path file = LORAPROOF_SOURCE_DIR "/tests/support/catch.h";
  DigestCache first(folder.path() / "deep" / "cache");
  CHECK_FALSE(first.find(file).has_value());
  first.store(file, DigestCache::stamp(file), kDigests);
  CHECK(first.find(file) == kDigests);
  DigestCache second(folder.path() / "deep" / "cache");
  first.save();
  CHECK(DigestCache(folder.path() / "deep" / "cache").find(file) == kDigests);

  // A run that loaded before the other saved must not lose what the other found.
  const fs::path sibling = LORAPROOF_SOURCE_DIR "/tests/support/temp_dir.h";
  second.store(sibling, DigestCache::stamp(sibling), kDigests);
  second.save();
  const DigestCache third(folder.path() / "deep" / "cache");
  CHECK(third.find(file) == kDigests);
  CHECK(third.find(sibling) == kDigests);
  CHECK(log.messages.empty());
}

TEST_CASE("digest cache: doubtful stamps are not stored") {
  const TempDir folder;
  DigestCache cache(folder.path() / "cache");
  const auto fresh = folder.write("fresh", "just written");
  cache.store(fresh, DigestCache::stamp(fresh), kDigests);
  CHECK_FALSE(cache.find(fresh).has_value());

  const fs::path file = LORAPROOF_SOURCE_DIR "/tests/support/catch.h";
  DigestStamp old = DigestCache::stamp(file);
  old.file.size_bytes += 1;  // the file changed while its digests were taken
  cache.store(file, old, kDigests);
  CHECK_FALSE(cache.find(file).has_value());
}

TEST_CASE("digest cache: entries of files that are gone are dropped on save") {
  const TempDir folder;
  const auto gone = folder.write("gone", "x");
  folder.write("cache/digests.json",
               cache_text(gone, DigestCache::stamp(gone), "sha256:" + std::string(64, 'c')));
  const std::string key = fs::canonical(gone).string();
  fs::remove(gone);
  const fs::path file = LORAPROOF_SOURCE_DIR "/tests/support/catch.h";
  DigestCache cache(folder.path() / "cache");
  cache.store(file, DigestCache::stamp(file), kDigests);
  cache.save();
  CHECK(loraproof::read_text_file(folder.path() / "cache/digests.json").find(key) ==
        std::string::npos);
}

TEST_CASE("digest cache: a damaged cache is empty and noted, then replaced") {
  const TempDir folder;
  const fs::path file = LORAPROOF_SOURCE_DIR "/tests/support/catch.h";
  const DigestStamp stamp = DigestCache::stamp(file);
  const std::string good = cache_text(file, stamp, "sha256:" + std::string(64, 'c'));
  std::string old_schema = good;
  old_schema.replace(old_schema.find("digests/1"), 9, "digests/0");
  std::string fraction = good;
  fraction.replace(fraction.find("\"size\":"), 7, "\"size\":0.");
  for (const std::string& text :
       {std::string(), std::string("{"), good.substr(0, good.size() / 2), std::string("[]"),
        std::string(R"({"schema":"loraproof.digests/1"})"), old_schema, fraction,
        cache_text(file, stamp, "sha256:short"), cache_text(file, stamp, "md5:x"),
        std::string("\xff\xfe\x00", 3)}) {
    INFO(text);
    folder.write("digests.json", text);
    const CapturedLog log;
    DigestCache cache(folder.path());
    CHECK_FALSE(cache.find(file).has_value());
    REQUIRE(log.messages.size() == 1);
    CHECK(log.messages[0].find("the digest cache is ignored: ") == 0);
    cache.store(file, stamp, kDigests);
    cache.save();
    CHECK(DigestCache(folder.path()).find(file) == kDigests);
  }
}

TEST_CASE("digest cache: without a place it finds nothing and saves nothing") {
  const TempDir folder;
  const fs::path file = LORAPROOF_SOURCE_DIR "/tests/support/catch.h";
  const CapturedLog log;
  DigestCache none{fs::path()};
  none.store(file, DigestCache::stamp(file), kDigests);
  none.save();
  CHECK_FALSE(none.find(file).has_value());
  CHECK(log.messages.empty());

  DigestCache blocked(folder.write("a file", "x") / "cache");
  blocked.store(file, DigestCache::stamp(file), kDigests);
  blocked.save();
  REQUIRE(log.messages.size() == 1);
  CHECK(log.messages[0].find("the digest cache is not saved: ") == 0);
  CHECK_THROWS_AS((void)none.find(folder.path() / "absent"), loraproof::Error);
}
