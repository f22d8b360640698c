// SPDX-License-Identifier: Apache-2.0
#include "loraproof/io/checkpoint.h"

#include <filesystem>
#include <string>
#include <utility>

#include "loraproof/core/error.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "unit/io/bytes.h"

using loraproof::Error;
using loraproof::ErrorKind;
using loraproof::io::Checkpoint;
using loraproof::test::safetensors_image;
using loraproof::test::TempDir;
using loraproof::test::to_hex;
using loraproof::test::u8_entry;

namespace fs = std::filesystem;

namespace {

// A file with one U8 tensor of two bytes for each name, values 'a', 'b', ...
std::string shard(std::initializer_list<const char*> names) {
  std::string header = "{", data;
  for (const char* name : names) {
    if (!data.empty()) header += ",";
    header += u8_entry(name, data.size(), data.size() + 2);
    data.append(2, static_cast<char>('a' + data.size() / 2));
  }
  return safetensors_image(header += "}", data);
}

constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kGoodIndex =
    R"({"metadata":{"total_size":6},"weight_map":{"w.2":"one.safetensors","w.1":"two.safetensors","w.3":"one.safetensors"}})";

std::string refusal(const fs::path& folder) {
  try {
    (void)Checkpoint::open(folder);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::Input);
    return error.what();
  }
  return "accepted";
}

bool contains(const std::string& text, const std::string& part) {
  INFO(text);
  CHECK(text.find(part) != std::string::npos);
  return true;
}

}  // namespace

TEST_CASE("checkpoint: shards become one map sorted by name") {
  const TempDir folder;
  folder.write("one.safetensors", shard({"w.3", "w.2"}));
  folder.write("two.safetensors", shard({"w.1"}));
  folder.write("unlisted.safetensors", "garbage that must not be read");
  folder.write(kIndex, kGoodIndex);
  Checkpoint opened = Checkpoint::open(folder.path());
  const Checkpoint checkpoint = std::move(opened);
  REQUIRE(checkpoint.views().size() == 3);
  CHECK(checkpoint.views()[0].name == "w.1");
  CHECK(checkpoint.views()[1].name == "w.2");
  CHECK(checkpoint.views()[2].name == "w.3");
  CHECK(checkpoint.total_bytes() == 6);
  CHECK(checkpoint.files().size() == 2);
  REQUIRE(checkpoint.find("w.2") == &checkpoint.views()[1]);
  CHECK(to_hex(checkpoint.find("w.2")->bytes) == "6262");
  CHECK(checkpoint.find("w.4") == nullptr);
  CHECK(checkpoint.find("") == nullptr);
  CHECK(checkpoint.file_of(*checkpoint.find("w.1")).file().path() ==
        folder.path() / "two.safetensors");
}

TEST_CASE("checkpoint: pages come back after they were given back") {
  const TempDir folder;
  const std::string data(1 << 20, 'q');
  folder.write("model.safetensors",
               safetensors_image(loraproof::test::u8_header("w", data.size()), data));
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  const auto& view = checkpoint.views()[0];
  for (int round = 0; round < 2; ++round) {
    checkpoint.will_need(view);
    std::size_t hits = 0;
    for (const std::byte byte : view.bytes) hits += byte == std::byte{'q'} ? 1 : 0;
    CHECK(hits == data.size());
    checkpoint.done_with(view);
  }
  const std::string elsewhere = "xx";
  loraproof::io::TensorView stranger{.name = "s"};
  stranger.bytes = loraproof::test::bytes_of(elsewhere);
  CHECK_THROWS_AS(checkpoint.will_need(stranger), Error);
}

TEST_CASE("checkpoint: the single file wins over the index, as in transformers") {
  const TempDir folder;
  folder.write("model.safetensors", shard({"single"}));
  folder.write(kIndex, "not even JSON");
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  REQUIRE(checkpoint.views().size() == 1);
  CHECK(checkpoint.views()[0].name == "single");
}

TEST_CASE("checkpoint: symbolic links into a blob store are followed") {
  const TempDir folder;
  folder.write("blobs/0123", shard({"w"}));
  fs::create_directories(folder.path() / "snapshots/r");
  fs::create_symlink("../../blobs/0123", folder.path() / "snapshots/r/model.safetensors");
  CHECK(Checkpoint::open(folder.path() / "snapshots/r").find("w") != nullptr);

  fs::remove(folder.path() / "blobs/0123");
  contains(
      refusal(folder.path() / "snapshots/r"),
      "found a symbolic link to a file that is not there; the Hugging Face cache may have been "
      "cleaned");
}

TEST_CASE("checkpoint: an index that disagrees with its shards is refused") {
  const TempDir folder;
  folder.write("one.safetensors", shard({"w.3", "w.2"}));
  folder.write("two.safetensors", shard({"w.1"}));
  folder.write(kIndex, kGoodIndex);
  const std::string one = (folder.path() / "one.safetensors").string();

  SECTION("a tensor is missing from its shard") {
    folder.write("one.safetensors", shard({"w.3"}));
    contains(refusal(folder.path()),
             one + ": w.2: tensor is missing from the shard that the index names: expected as in");
  }
  SECTION("a shard holds a tensor without an entry") {
    folder.write("one.safetensors", shard({"w.3", "w.2", "w.9"}));
    contains(refusal(folder.path()), one +
                                         ": w.9: shard holds a tensor that the index does not "
                                         "assign to it: expected no such tensor, found");
  }
  SECTION("a tensor lies in two shards") {
    folder.write("one.safetensors", shard({"w.3", "w.2", "w.1"}));
    contains(refusal(folder.path()),
             "w.1: shard holds a tensor that the index does not assign to "
             "it: expected two.safetensors, found one.safetensors");
  }
  SECTION("a shard is missing") {
    fs::remove(folder.path() / "two.safetensors");
    contains(refusal(folder.path()), "1 of 2 shards missing: expected " +
                                         (folder.path() / "two.safetensors").string() +
                                         "; the download may be incomplete");
  }
  SECTION("a shard is broken") {
    folder.write("two.safetensors", "short");
    contains(refusal(folder.path()), "two.safetensors: too short for a safetensors file");
  }
}

TEST_CASE("checkpoint: a broken index is refused with the place") {
  const TempDir folder;
  folder.write("one.safetensors", shard({"w"}));
  const auto with_index = [&](const std::string& text) {
    folder.write(kIndex, text);
    return refusal(folder.path());
  };
  const auto with_shard = [&](const std::string& name) {
    return with_index(R"({"weight_map":{"w":")" + name + "\"}}");
  };
  CHECK(with_shard("one.safetensors") == "accepted");
  const std::string plain =
      "w: shard name is not a plain file name: expected a file in the same folder, found ";
  contains(with_shard("../one.safetensors"), plain + "\"../one.safetensors\"");
  contains(with_shard("/etc/passwd"), plain + "\"/etc/passwd\"");
  contains(with_shard("a\\\\one.safetensors"), plain);
  contains(with_shard("one.safetensors\\u0000"), plain);
  contains(with_shard(".."), plain + "\"..\"");
  contains(with_shard(""), plain + "\"\"");
  contains(with_shard("model.bin"),
           "w: shard is not a safetensors file: expected *.safetensors, found \"model.bin\"");
  contains(with_index(R"({"weight_map":{"w":1}})"),
           "w: weight_map value is not a file name: expected a string, found 1");
  contains(with_index(R"({"weight_map":{}})"), "/weight_map: weight_map is empty");
  contains(with_index(R"({"weight_map":[]})"), "/weight_map");
  contains(with_index("{}"), "weight_map");
  contains(with_index(R"({"weight_map":{"w":"one.safetensors","w":"one.safetensors"}})"),
           "duplicate key \"w\"");
  contains(with_index("{"), "not valid JSON");
}

TEST_CASE("checkpoint: a folder without safetensors weights says what it holds instead") {
  const TempDir folder;
  contains(refusal(folder.path()),
           "no model weights in this folder: expected model.safetensors or "
           "model.safetensors.index.json; check the path");
  SECTION("pickle") {
    for (const char* name : {"pytorch_model.bin", "model.pt", "consolidated.00.pth"}) {
      const auto path = folder.write(name, "x");
      contains(refusal(folder.path()),
               "weights as pickle (.bin, .pt, .pth) are refused: loading them can run code");
      contains(refusal(folder.path()), "from_pretrained and call save_pretrained");
      fs::remove(path);
    }
  }
  SECTION("GGUF") {
    folder.write("model.gguf", "x");
    contains(refusal(folder.path()), "weights as GGUF are not read here");
    contains(refusal(folder.path()), "gguf_file=");
  }
  SECTION("shards without their index") {
    folder.write("model-00002-of-00002.safetensors", "x");
    folder.write("model-00001-of-00002.safetensors", "x");
    contains(refusal(folder.path()),
             "found model-00001-of-00002.safetensors; a sharded model needs "
             "its model.safetensors.index.json");
  }
  SECTION("an adapter") {
    folder.write("adapter_model.safetensors", "x");
    contains(refusal(folder.path()), "found an adapter; pass it with --adapter");
  }
  SECTION("a folder that is not there") {
    contains(refusal(folder.path() / "absent"), "a folder that cannot be listed: No such file");
  }
}
