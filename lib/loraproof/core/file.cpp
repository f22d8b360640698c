// SPDX-License-Identifier: Apache-2.0
#include "loraproof/core/file.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "loraproof/core/error.h"

namespace loraproof {
namespace {

Error system_error(const std::filesystem::path& path, const std::string& doing, int code) {
  std::string hint;
  if (code == ENOENT) hint = "check the path";
  if (code == EACCES || code == EPERM) hint = "check the permissions of the file and its folders";
  if (code == ENOSPC || code == EDQUOT) hint = "free some disk space and run again";
  return input_error({.id = "file.system",
                      .message = fmt::format("cannot {}: {}", doing, std::strerror(code)),
                      .file = path.string(),
                      .hint = hint});
}

// Closes on scope exit; close() reports what the destructor could not.
class Descriptor {
 public:
  Descriptor(const std::filesystem::path& path, int flags, const std::string& doing)
      : Descriptor(path, path, flags, doing) {}
  /// Opens `path`; an error speaks of `named`, the file that the user knows.
  Descriptor(const std::filesystem::path& named, const std::filesystem::path& path, int flags,
             const std::string& doing)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    if (fd_ < 0) throw system_error(named, doing, errno);
  }
  /// Takes over an open descriptor, or the failure to get one.
  Descriptor(const std::filesystem::path& named, int fd) : fd_(fd) {
    if (fd_ < 0) throw system_error(named, "open", errno);
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }
  void close(const std::filesystem::path& path) {
    if (::close(std::exchange(fd_, -1)) != 0) throw system_error(path, "close", errno);
  }

 private:
  int fd_;
};

Error is_a_folder(const std::filesystem::path& path) {
  return input_error({.id = "file.is_a_folder",
                      .message = "is a folder",
                      .file = path.string(),
                      .expected = "a file"});
}

// The stream that `path` names; -1: it names none.
int standard_stream(const std::filesystem::path& path) {
  if (path == "/dev/stdout") return STDOUT_FILENO;
  return path == "/dev/stderr" ? STDERR_FILENO : -1;
}

struct stat status_of(const std::filesystem::path& path, int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) throw system_error(path, "read the status", errno);
  if (S_ISDIR(status.st_mode)) throw is_a_folder(path);
  return status;
}

void sync_folder(const std::filesystem::path& folder) {
  const Descriptor descriptor(folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY, "open folder");
  ::fsync(descriptor.get());  // best effort: some file systems refuse to sync a folder
}

void sync_file(const std::filesystem::path& path) {
  const Descriptor descriptor(path, O_RDONLY, "open");
  if (::fsync(descriptor.get()) != 0) throw system_error(path, "flush to disk", errno);
}

void rename_or_throw(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) throw system_error(to, "move into place", errno);
}

std::filesystem::path unique_sibling(const std::filesystem::path& target, const char* suffix) {
  std::filesystem::path name = target;
  if (!name.has_filename()) name = name.parent_path();  // "out/" names the folder "out"
  name.replace_filename(fmt::format(".{}.{}.{}", name.filename().string(), suffix, ::getpid()));
  return name;
}

}  // namespace

Error write_error(const std::filesystem::path& path, int code) {
  std::string hint;
  if (code == ENOSPC || code == EDQUOT || code == EFBIG) hint = "free space, or write elsewhere";
  if (code == EACCES || code == EPERM || code == EROFS)
    hint = "check the permissions of the folder";
  if (code == EEXIST) hint = "files are never overwritten: remove it or choose another name";
  if (code == ENOENT) hint = "the folder does not exist";
  return input_error({.id = "file.write",
                      .message = fmt::format("cannot write: {}", std::strerror(code)),
                      .file = path.string(),
                      .hint = hint});
}

std::string read_text_file(const std::filesystem::path& path, std::size_t max_bytes) {
  const Descriptor descriptor(path, O_RDONLY, "open");
  const struct stat status = status_of(path, descriptor.get());
  // Pipes and process substitutions have no size; regular files are checked before allocating.
  if (S_ISREG(status.st_mode) && static_cast<std::uint64_t>(status.st_size) > max_bytes) {
    throw input_error({.id = "file.too_large",
                       .message = "file is too large",
                       .file = path.string(),
                       .expected = fmt::format("at most {} bytes", max_bytes),
                       .found = fmt::format("{} bytes", status.st_size)});
  }
  std::string text;
  char buffer[1 << 16];
  while (true) {
    const ssize_t count = ::read(descriptor.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw system_error(path, "read", errno);
    if (count == 0) return text;
    text.append(buffer, static_cast<std::size_t>(count));
    if (text.size() > max_bytes) {
      throw input_error({.id = "file.too_large",
                         .message = "file is too large",
                         .file = path.string(),
                         .expected = fmt::format("at most {} bytes", max_bytes)});
    }
  }
}

FileStamp stamp_of(const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) throw system_error(path, "read the status", errno);
  return {.size_bytes = static_cast<std::uint64_t>(status.st_size),
          .mtime_ns = status.st_mtim.tv_sec * std::int64_t{1'000'000'000} + status.st_mtim.tv_nsec,
          .inode = status.st_ino,
          .device = status.st_dev};
}

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const Descriptor descriptor(path, O_RDONLY, "open");
  size_ = static_cast<std::size_t>(status_of(path, descriptor.get()).st_size);
  if (size_ == 0) return;
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, descriptor.get(), 0);
  if (address == MAP_FAILED) throw system_error(path, "map", errno);
  data_ = static_cast<const std::byte*>(address);
}

MappedFile::~MappedFile() { unmap(); }

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this != &other) {
    unmap();
    path_ = std::move(other.path_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

void MappedFile::unmap() noexcept {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

namespace {

struct PageRange {
  std::uintptr_t begin;
  std::uintptr_t end;
};

PageRange pages_of(std::span<const std::byte> range, bool inner_pages_only) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(range.data());
  const auto end = begin + range.size();
  if (inner_pages_only) return {(begin + page - 1) / page * page, end / page * page};
  return {begin / page * page, (end + page - 1) / page * page};
}

// Advice is only advice: a failing madvise changes no result, so its return value is not looked at.
void advise(std::span<const std::byte> range, int advice, bool inner_pages_only) {
  const auto [begin, end] = pages_of(range, inner_pages_only);
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, advice);
}

// For kernels before 5.14, where MADV_POPULATE_READ is unknown.
void touch_each_page(PageRange pages) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (std::uintptr_t at = pages.begin; at < pages.end; at += page) {
    (void)*reinterpret_cast<const volatile std::byte*>(at);
  }
}

constexpr int kPopulateRead = 22;  // MADV_POPULATE_READ, missing in older headers

}  // namespace

void MappedFile::will_need(std::span<const std::byte> range) const {
  advise(range, MADV_WILLNEED, false);
}
void MappedFile::done_with(std::span<const std::byte> range) const {
  advise(range, MADV_DONTNEED, true);
}

void MappedFile::read_in(std::span<const std::byte> range) const {
  if (range.empty()) return;
  const PageRange pages = pages_of(range, false);
  int failure = 0;
  do {
    const auto length = pages.end - pages.begin;
    const int result = ::madvise(reinterpret_cast<void*>(pages.begin), length, kPopulateRead);
    failure = result == 0 ? 0 : errno;
  } while (failure == EINTR || failure == EAGAIN);
  if (failure == 0) return;
  const std::uint64_t size_now = stamp_of(path_).size_bytes;
  if (size_now < size_) {
    throw input_error({.id = "file.shortened",
                       .message = "the file has become shorter while it was being read",
                       .file = path_.string(),
                       .expected = fmt::format("{} bytes", size_),
                       .found = fmt::format("{} bytes", size_now),
                       .hint = "run again when nothing writes to it"});
  }
  if (failure != EINVAL) throw system_error(path_, "read", failure == EFAULT ? EIO : failure);
  touch_each_page(pages);
}

namespace {

void write_all(const Descriptor& descriptor, const std::filesystem::path& path,
               std::string_view text) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t count = ::write(descriptor.get(), text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw system_error(path, "write", errno);
    done += static_cast<std::size_t>(count);
  }
}

}  // namespace

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
  // By descriptor: where a shell has redirected the stream to a file, opening or renaming that file
  // would lose what else is written to it.
  if (const int stream = standard_stream(path); stream >= 0) {
    Descriptor descriptor(path, ::dup(stream));
    write_all(descriptor, path, text);
    return;
  }
  struct stat status {};
  const bool exists = ::stat(path.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) throw is_a_folder(path);
  if (exists && !S_ISREG(status.st_mode)) {
    // A device or a pipe: a rename would put a file in the device's place.
    Descriptor descriptor(path, O_WRONLY, "open");
    write_all(descriptor, path, text);
    descriptor.close(path);
    return;
  }
  // Through a symlink, so that the link stays and what it points at is replaced.
  std::error_code code;
  const std::filesystem::path target = exists ? std::filesystem::canonical(path, code) : path;
  if (code) throw system_error(path, "resolve", code.value());
  const std::filesystem::path staging = unique_sibling(target, "tmp");
  try {
    Descriptor descriptor(path, staging, O_WRONLY | O_CREAT | O_TRUNC, "create");
    write_all(descriptor, path, text);
    if (::fsync(descriptor.get()) != 0) throw system_error(path, "flush to disk", errno);
    descriptor.close(path);
    rename_or_throw(staging, target);
  } catch (...) {
    ::unlink(staging.c_str());
    throw;
  }
  sync_folder(target.parent_path());
}

void expect_writable(const std::filesystem::path& path) {
  if (standard_stream(path) >= 0) return;
  std::error_code ignored;
  const auto status = std::filesystem::status(path, ignored);
  if (std::filesystem::is_directory(status)) throw is_a_folder(path);
  std::filesystem::path asked = path;  // a device, a pipe
  if (!std::filesystem::exists(status) || std::filesystem::is_regular_file(status)) {
    const auto whole = std::filesystem::absolute(path, ignored);
    asked = std::filesystem::weakly_canonical(whole, ignored).parent_path();
  }
  if (::access(asked.c_str(), W_OK) != 0) throw write_error(path, errno);
}

void drop_cached_pages(const std::filesystem::path& path) {
  const Descriptor descriptor(path, O_RDONLY, "open");
  if (::fsync(descriptor.get()) != 0) throw system_error(path, "flush to disk", errno);
  ::posix_fadvise(descriptor.get(), 0, 0, POSIX_FADV_DONTNEED);  // best effort
}

namespace {

// The lock on a folder that says that a run works in it; -1 where another holds it. It goes with
// the process, however that ends.
int lock_folder(const std::filesystem::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0 || ::flock(descriptor, LOCK_EX | LOCK_NB) == 0) return descriptor;
  ::close(descriptor);
  return -1;
}

// Gives the newest folder that a killed run left for the same target the name `staging`.
void adopt_interrupted(const std::filesystem::path& staging) {
  namespace fs = std::filesystem;
  const std::string name = staging.filename().string();
  const std::string prefix = name.substr(0, name.rfind('.') + 1);
  std::error_code code;
  fs::path newest;
  fs::file_time_type time;
  for (const auto& entry : fs::directory_iterator(fs::absolute(staging).parent_path(), code)) {
    if (!entry.path().filename().string().starts_with(prefix) || !entry.is_directory(code))
      continue;
    const int lock = lock_folder(entry.path());
    if (lock < 0) continue;
    ::close(lock);
    const auto written = entry.last_write_time(code);
    if (!newest.empty() && written <= time) continue;
    newest = entry.path();
    time = written;
  }
  if (!newest.empty() && newest.filename() != name) rename_or_throw(newest, staging);
}

}  // namespace

AtomicFolder::AtomicFolder(std::filesystem::path target, bool replace, bool resume)
    : target_(std::move(target)),
      staging_(unique_sibling(target_, "partial")),
      replace_(replace),
      resume_(resume) {
  std::error_code code;
  if (!replace_ && std::filesystem::exists(target_, code)) {
    throw input_error({.id = "out.exists",
                       .message = "already exists",
                       .file = target_.string(),
                       .hint = "pass --force to replace it"});
  }
  if (resume_) {
    adopt_interrupted(staging_);
  } else {
    std::filesystem::remove_all(staging_, code);
  }
  std::filesystem::create_directories(staging_, code);
  if (code) throw system_error(staging_, "create folder", code.value());
  lock_ = lock_folder(staging_);
}

AtomicFolder::~AtomicFolder() {
  std::error_code ignored;
  if (!committed_ && !resume_) std::filesystem::remove_all(staging_, ignored);
  if (lock_ >= 0) ::close(lock_);
}

void AtomicFolder::discard() {
  std::error_code ignored;
  std::filesystem::remove_all(staging_, ignored);
}

void AtomicFolder::commit() {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(staging_)) {
    if (entry.is_regular_file()) sync_file(entry.path());
  }
  sync_folder(staging_);
  std::error_code code;
  if (std::filesystem::exists(target_, code)) {
    if (!replace_) {
      throw input_error({.id = "out.appeared",
                         .message = "appeared while this run was writing",
                         .file = target_.string()});
    }
    // Two renames: a kill between them leaves the old folder complete under its ".old" name.
    const std::filesystem::path old = unique_sibling(target_, "old");
    rename_or_throw(target_, old);
    try {
      rename_or_throw(staging_, target_);
    } catch (...) {
      ::rename(old.c_str(), target_.c_str());
      throw;
    }
    std::filesystem::remove_all(old, code);
  } else {
    rename_or_throw(staging_, target_);
  }
  committed_ = true;
  sync_folder(std::filesystem::absolute(target_).parent_path());
}

}  // namespace loraproof
