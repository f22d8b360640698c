// SPDX-License-Identifier: Apache-2.0
#include "loraproof/core/file.h"

#include <csignal>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/temp_dir.h"
#include "unit/core/refused.h"

namespace loraproof {
namespace {

namespace fs = std::filesystem;
using test::refused;
using test::TempDir;

std::size_t entries_of(const fs::path& folder) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Permission bits do not bind root: what is to be refused runs as somebody else.
class Unprivileged {
 public:
  Unprivileged() : was_root_(::geteuid() == 0) {
    if (was_root_) dropped_ = ::seteuid(65534) == 0;
  }
  ~Unprivileged() {
    if (dropped_) (void)!::seteuid(0);
  }
  Unprivileged(const Unprivileged&) = delete;
  Unprivileged& operator=(const Unprivileged&) = delete;
  [[nodiscard]] bool holds() const { return !was_root_ || dropped_; }

 private:
  bool was_root_;
  bool dropped_ = false;
};

// Writes beyond `bytes` fail while this lives, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &saved_);
    rlimit limit = saved_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &saved_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  void (*handler_)(int);
  rlimit saved_{};
};

}  // namespace

TEST_CASE("a file is read whole, up to its limit") {
  const TempDir folder;
  const std::string text("a\0b\r\n", 5);
  const auto path = folder.write("a", text);
  CHECK(read_text_file(path, 5) == text);
  CHECK(read_text_file(folder.write("empty", "")).empty());
  CHECK(std::string(refused([&] { (void)read_text_file(path, 4); }).what()) ==
        path.string() + ": file is too large: expected at most 4 bytes, found 5 bytes");
}

TEST_CASE("a stream without a size is bounded as it is read") {
  CHECK(refused([] { (void)read_text_file("/dev/zero", 1 << 20); }).detail().message ==
        "file is too large");
  CHECK(read_text_file("/dev/null").empty());
}

TEST_CASE("a missing file, a folder and a loop of links are input errors with the path") {
  const TempDir folder;
  const auto missing = folder.path() / "none";
  fs::create_symlink("loop", folder.path() / "loop");
  const auto read = [](const fs::path& path) {
    return refused([&] { (void)read_text_file(path); });
  };
  const auto map = [](const fs::path& path) { return refused([&] { MappedFile{path}; }); };
  for (const auto& action :
       {std::function<Error(const fs::path&)>(read), std::function<Error(const fs::path&)>(map)}) {
    CHECK(action(missing).kind() == ErrorKind::Input);
    CHECK(std::string(action(missing).what()) ==
          missing.string() + ": cannot open: No such file or directory; check the path");
    CHECK(std::string(action(folder.path()).what()) ==
          folder.path().string() + ": is a folder: expected a file");
    CHECK(action(folder.path() / "loop").detail().file == (folder.path() / "loop").string());
  }
  CHECK(refused([&] { (void)stamp_of(missing); }).detail().message ==
        "cannot read the status: No such file or directory");
}

TEST_CASE("a file that may not be read says so") {
  const TempDir folder;
  const auto path = folder.write("secret", "x");
  fs::permissions(folder.path(), fs::perms::all);
  fs::permissions(path, fs::perms::none);
  const Unprivileged user;
  REQUIRE(user.holds());
  const Error error = refused([&] { (void)read_text_file(path); });
  CHECK(error.detail().message == "cannot open: Permission denied");
  CHECK(error.detail().hint == "check the permissions of the file and its folders");
  CHECK(refused([&] { MappedFile{path}; }).detail().message == "cannot open: Permission denied");
}

TEST_CASE("a mapped file shows its bytes for as long as it lives, also after a move") {
  const TempDir folder;
  const auto path = folder.write("a", "hello");
  MappedFile first(path);
  CHECK(text_of(first.bytes()) == "hello");
  const std::byte* address = first.bytes().data();
  fs::remove(path);
  MappedFile second(std::move(first));
  CHECK(second.bytes().data() == address);
  CHECK(text_of(second.bytes()) == "hello");
  CHECK(second.path() == path);
  MappedFile third(folder.write("b", "other"));
  third = std::move(second);
  CHECK(text_of(third.bytes()) == "hello");
  CHECK(MappedFile(folder.write("empty", "")).bytes().empty());
}

TEST_CASE("advice about pages leaves the bytes as they are") {
  const TempDir folder;
  const std::string text(100'000, 'x');
  const MappedFile file(folder.write("a", text));
  file.will_need(file.bytes());
  file.done_with(file.bytes());
  file.done_with(file.bytes().subspan(10, 3));
  file.done_with({});
  CHECK(text_of(file.bytes()) == text);
}

TEST_CASE("the stamp of a file changes with its content and its place") {
  const TempDir folder;
  const auto path = folder.write("a", "one");
  const FileStamp before = stamp_of(path);
  CHECK(before.size_bytes == 3);
  CHECK(stamp_of(path) == before);
  folder.write("a", "longer");
  CHECK_FALSE(stamp_of(path) == before);
  CHECK_FALSE(stamp_of(folder.write("b", "one")) == before);
}

TEST_CASE("an atomic write replaces the file and leaves nothing beside it") {
  const TempDir folder;
  const auto path = folder.path() / "out.json";
  write_file_atomically(path, "one");
  write_file_atomically(path, "two");
  CHECK(read_text_file(path) == "two");
  CHECK(entries_of(folder.path()) == 1);
}

TEST_CASE("what can't be written is found before it is written") {
  const TempDir folder;
  expect_writable(folder.path() / "new");
  expect_writable("new-in-the-current-folder");
  expect_writable(folder.write("old", "text"));
  expect_writable("/dev/null");
  expect_writable("/dev/stdout");
  CHECK(refused([&] { expect_writable(folder.path() / "none" / "x"); }).detail().hint ==
        "the folder does not exist");
  CHECK(refused([&] { expect_writable(folder.path()); }).detail().message == "is a folder");
}

TEST_CASE("a failed atomic write leaves the old file and nothing else") {
  const TempDir folder;
  const auto path = folder.write("out", "old");
  {
    const FileSizeLimit limit(1000);
    const Error error = refused([&] { write_file_atomically(path, std::string(5000, 'x')); });
    CHECK(std::string(error.what()) == path.string() + ": cannot write: File too large");
  }
  CHECK(read_text_file(path) == "old");
  CHECK(entries_of(folder.path()) == 1);
  const auto nowhere = folder.path() / "none" / "out";
  CHECK(std::string(refused([&] { write_file_atomically(nowhere, "x"); }).what()) ==
        nowhere.string() + ": cannot create: No such file or directory; check the path");
  CHECK(refused([&] { write_file_atomically(folder.path(), "x"); }).detail().message ==
        "is a folder");
}

TEST_CASE("an atomic write follows a link, and never takes the place of a pipe or a device") {
  const TempDir folder;
  const auto real = folder.write("data/real", "old");
  const auto link = folder.path() / "link";
  fs::create_symlink("data/real", link);
  write_file_atomically(link, "new");
  CHECK(fs::is_symlink(link));
  CHECK(read_text_file(real) == "new");
  CHECK(entries_of(folder.path() / "data") == 1);

  const auto pipe = folder.path() / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  write_file_atomically(pipe, "through");
  char buffer[16] = {};
  CHECK(::read(reader, buffer, sizeof buffer) == 7);
  CHECK(std::string(buffer) == "through");
  ::close(reader);
  CHECK(fs::is_fifo(pipe));
}

TEST_CASE("an atomic folder appears with commit, whole") {
  const TempDir folder;
  const auto target = folder.path() / "out";
  {
    AtomicFolder writing(target, false);
    CHECK(writing.staging().parent_path() == folder.path());
    fs::create_directory(writing.staging() / "sub");
    write_file_atomically(writing.staging() / "sub" / "a", "one");
    CHECK_FALSE(fs::exists(target));
    writing.commit();
  }
  CHECK(read_text_file(target / "sub" / "a") == "one");
  CHECK(entries_of(folder.path()) == 1);
}

TEST_CASE("an atomic folder that is not committed leaves nothing") {
  const TempDir folder;
  {
    AtomicFolder writing(folder.path() / "out", false);
    write_file_atomically(writing.staging() / "a", "one");
  }
  CHECK(entries_of(folder.path()) == 0);
}

TEST_CASE("an existing folder is refused, or replaced on commit and not before") {
  const TempDir folder;
  folder.write("out/old", "old");
  const auto target = folder.path() / "out";
  CHECK(std::string(refused([&] { AtomicFolder(target, false); }).what()) ==
        target.string() + ": already exists; pass --force to replace it");
  { const AtomicFolder rolled_back(target, true); }
  CHECK(read_text_file(target / "old") == "old");
  AtomicFolder writing(target / "", true);  // "out/" is "out"
  write_file_atomically(writing.staging() / "new", "new");
  CHECK(fs::exists(target / "old"));
  writing.commit();
  CHECK(read_text_file(target / "new") == "new");
  CHECK_FALSE(fs::exists(target / "old"));
  CHECK(entries_of(folder.path()) == 1);
}

TEST_CASE("a folder that appears during the run is not overwritten") {
  const TempDir folder;
  const auto target = folder.path() / "out";
  AtomicFolder writing(target, false);
  folder.write("out/other", "theirs");
  CHECK(refused([&] { writing.commit(); }).detail().message ==
        "appeared while this run was writing");
  CHECK(read_text_file(target / "other") == "theirs");
}

TEST_CASE("a folder that can't be made says why") {
  const TempDir folder;
  const auto file = folder.write("file", "x");
  CHECK(refused([&] { AtomicFolder(file / "out", false); }).kind() == ErrorKind::Input);
  fs::permissions(folder.path(), fs::perms::owner_read | fs::perms::owner_exec |
                                     fs::perms::others_read | fs::perms::others_exec);
  {
    const Unprivileged user;
    REQUIRE(user.holds());
    CHECK(refused([&] { AtomicFolder(folder.path() / "out", false); }).detail().message ==
          "cannot create folder: Permission denied");
    CHECK(refused([&] { write_file_atomically(folder.path() / "out", "x"); }).detail().message ==
          "cannot create: Permission denied");
  }
  fs::permissions(folder.path(), fs::perms::owner_all);
}

}  // namespace loraproof
