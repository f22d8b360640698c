// SPDX-License-Identifier: Apache-2.0
// Files: read whole, mapped read-only, or written so that a killed or failed run leaves nothing
// half-written. Every function throws an input Error with the path and the system's reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "loraproof/core/error.h"

namespace loraproof {

/// The input Error of a file that is created or written block by block; `code` is errno.
[[nodiscard]] Error write_error(const std::filesystem::path& path, int code);

/// Reads a whole file of at most `max_bytes`.
[[nodiscard]] std::string read_text_file(const std::filesystem::path& path,
                                         std::size_t max_bytes = std::size_t{256} << 20);

/// What identifies a file's content cheaply: the key of the digest cache.
struct FileStamp {
  std::uint64_t size_bytes = 0;
  std::int64_t mtime_ns = 0;
  std::uint64_t inode = 0;
  std::uint64_t device = 0;
  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};
[[nodiscard]] FileStamp stamp_of(const std::filesystem::path& path);

/// A file mapped read-only for its lifetime. Movable; views into bytes() die with it.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] std::span<const std::byte> bytes() const { return {data_, size_}; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  /// Tells the kernel that this range will be read soon, or that its pages can be given back (they
  /// count in RSS while mapped in). Ranges are clipped to whole pages inside `range`.
  void will_need(std::span<const std::byte> range) const;
  void done_with(std::span<const std::byte> range) const;

  /// Reads this range now and maps its pages in. What would be a SIGBUS at the first touch (the
  /// file was cut short meanwhile, the disk fails) is an input Error here.
  void read_in(std::span<const std::byte> range) const;

 private:
  void unmap() noexcept;
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Writes `text` to a temporary file beside `path`, fsyncs and renames it over `path`. A symlink
/// stays and its target is replaced; a device, a pipe or a standard stream (/dev/stdout) is written
/// to directly.
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

/// Throws now what write_file_atomically() would throw after a long run: no such folder, no
/// permission, a folder in the file's place.
void expect_writable(const std::filesystem::path& path);

/// Flushes a file to the disk and lets go of its pages in memory, so that the next read comes from
/// the disk. Input Error where the flush fails.
void drop_cached_pages(const std::filesystem::path& path);

/// A folder that appears whole or not at all: files are written into a temporary folder beside
/// `target`; commit() fsyncs and renames it; the destructor of an uncommitted one removes it.
class AtomicFolder {
 public:
  /// `replace`: an existing target is swapped out on commit; otherwise it is an input Error now.
  /// `resume`: what a run for this target left when it was killed is taken as it is, and stays when
  /// this one ends without commit().
  AtomicFolder(std::filesystem::path target, bool replace, bool resume = false);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  /// Where to write files before commit.
  [[nodiscard]] const std::filesystem::path& staging() const { return staging_; }
  void commit();
  /// Removes what was written, whatever `resume` says.
  void discard();

 private:
  std::filesystem::path target_;
  std::filesystem::path staging_;
  bool replace_;
  bool resume_;
  int lock_ = -1;  // descriptor
  bool committed_ = false;
};

}  // namespace loraproof
