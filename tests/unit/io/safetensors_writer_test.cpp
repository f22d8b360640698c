// SPDX-License-Identifier: Apache-2.0
#include "loraproof/io/safetensors_writer.h"

#include <csignal>
#include <filesystem>
#include <string>
#include <sys/resource.h>
#include <vector>

#include "loraproof/core/error.h"
#include "loraproof/core/file.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "unit/io/bytes.h"

using loraproof::Error;
using loraproof::ErrorKind;
using loraproof::io::DType;
using loraproof::io::SafetensorsWriter;
using loraproof::io::TensorSpec;
using loraproof::io::TensorView;
using loraproof::io::write_safetensors;
using loraproof::test::bytes_of;
using loraproof::test::TempDir;

namespace fs = std::filesystem;

namespace {

template <typename Function>
std::string error_of(ErrorKind kind, const Function& function) {
  try {
    function();
  } catch (const Error& error) {
    CHECK(error.kind() == kind);
    return error.what();
  }
  return "no error";
}

void check_contains(const std::string& text, const std::string& part) {
  INFO(text);
  CHECK(text.find(part) != std::string::npos);
}

// Files of this process end at `bytes` while it lives: a write past it fails as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

}  // namespace

TEST_CASE("safetensors writer: the bytes are those of the format") {
  const TempDir folder;
  const fs::path path = folder.path() / "w.safetensors";
  const std::string data = "abcdefgh";
  const std::vector<TensorView> tensors = {
      {"z", DType::U8, {3}, bytes_of(data).first(3)},
      {"empty", DType::F32, {0, 2}, {}},
      {"a", DType::BF16, {2, 1}, bytes_of(data).subspan(4, 4)},
  };
  write_safetensors(path, tensors, {{"format", "pt"}, {"b", "\"x\""}});
  std::string header = R"({"__metadata__":{"b":"\"x\"","format":"pt"},)"
                       R"("z":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
                       R"("empty":{"dtype":"F32","shape":[0,2],"data_offsets":[3,3]},)"
                       R"("a":{"dtype":"BF16","shape":[2,1],"data_offsets":[3,7]}})";
  header.append((8 - header.size() % 8) % 8, ' ');
  CHECK(loraproof::read_text_file(path) == loraproof::test::safetensors_image(header, "abcefgh"));
}

TEST_CASE("safetensors writer: no tensors at all is a valid file") {
  const TempDir folder;
  write_safetensors(folder.path() / "none", {});
  CHECK(loraproof::read_text_file(folder.path() / "none") ==
        loraproof::test::safetensors_image("{}      "));
}

TEST_CASE("safetensors writer: chunks of any size make the same file") {
  const TempDir folder;
  const std::string data = "abcdefgh";
  const std::vector<TensorSpec> specs = {
      {"a", DType::U8, {5}}, {"none", DType::U8, {0}}, {"b", DType::U8, {3}}};
  SafetensorsWriter writer(folder.path() / "chunks", specs);
  for (const auto& [begin, count] : {std::pair{0, 2}, {2, 0}, {2, 3}, {5, 1}, {6, 2}}) {
    writer.append(bytes_of(data).subspan(begin, count));
  }
  writer.finish();
  std::string header = R"({"a":{"dtype":"U8","shape":[5],"data_offsets":[0,5]},)"
                       R"("none":{"dtype":"U8","shape":[0],"data_offsets":[5,5]},)"
                       R"("b":{"dtype":"U8","shape":[3],"data_offsets":[5,8]}})";
  header.append((8 - header.size() % 8) % 8, ' ');
  CHECK(loraproof::read_text_file(folder.path() / "chunks") ==
        loraproof::test::safetensors_image(header, data));
}

TEST_CASE("safetensors writer: errors name the path and leave no file") {
  const TempDir folder;
  const fs::path path = folder.path() / "w.safetensors";
  const std::string data(100000, 'x');
  const std::vector<TensorView> tensors = {{"w", DType::U8, {100000}, bytes_of(data)}};

  SECTION("the disk is full") {
    const FileSizeLimit limit(4096);
    check_contains(
        error_of(ErrorKind::Input, [&] { write_safetensors(path, tensors); }),
        path.string() + ": cannot write: File too large; free space, or write elsewhere");
  }
  SECTION("the disk is full before the header is out") {
    const FileSizeLimit limit(4);
    check_contains(error_of(ErrorKind::Input, [&] { write_safetensors(path, tensors); }),
                   path.string() + ": cannot write: File too large");
  }
  SECTION("there is no such folder") {
    const fs::path absent = folder.path() / "absent" / "w";
    check_contains(error_of(ErrorKind::Input, [&] { write_safetensors(absent, tensors); }),
                   absent.string() + ": cannot write: No such file or directory; the folder does");
  }
  SECTION("a tensor is not complete") {
    check_contains(error_of(ErrorKind::Internal,
                            [&] {
                              SafetensorsWriter writer(path, {{"w", DType::U8, {4}}});
                              writer.append(bytes_of("abc"));
                              writer.finish();
                            }),
                   "w: tensor to be written is incomplete: found 1 bytes missing");
  }
  SECTION("too many bytes") {
    check_contains(error_of(ErrorKind::Internal,
                            [&] {
                              SafetensorsWriter writer(path, {{"w", DType::U8, {2}}});
                              writer.append(bytes_of("abc"));
                            }),
                   "w: too many bytes for the tensor to be written: expected at most 2, found 3");
  }
  SECTION("bytes that do not fit the shape") {
    const std::vector<TensorView> wrong = {{"w", DType::F32, {2}, bytes_of(data).first(4)}};
    check_contains(error_of(ErrorKind::Internal, [&] { write_safetensors(path, wrong); }),
                   "w: tensor to be written has bytes that do not fit its shape: found 4 bytes for "
                   "F32 [2]");
  }
  SECTION("a name twice, or reserved") {
    for (const char* name : {"w", "", "__metadata__"}) {
      check_contains(
          error_of(
              ErrorKind::Internal,
              [&] {
                SafetensorsWriter writer(path, {{"w", DType::U8, {2}}, {name, DType::U8, {2}}});
              }),
          "duplicate or reserved name of a tensor to be written");
    }
  }
  SECTION("a shape that cannot be") {
    check_contains(error_of(ErrorKind::Internal,
                            [&] {
                              SafetensorsWriter writer(path, {{"w", DType::U8, {-1}}});
                            }),
                   "w: tensor to be written has an impossible shape: found [-1]");
  }
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("safetensors writer: an existing file is never overwritten") {
  const TempDir folder;
  const auto path = folder.write("w.safetensors", "precious");
  check_contains(error_of(ErrorKind::Input, [&] { write_safetensors(path, {}); }),
                 path.string() + ": cannot write: File exists; files are never overwritten");
  CHECK(loraproof::read_text_file(path) == "precious");
}
