// SPDX-License-Identifier: Apache-2.0
// Brings written bytes to the disk while more are computed: a disk that only begins when all is
// written makes the end wait for it. For this module only.
#pragma once

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <unistd.h>
#include <utility>

#include "loraproof/core/file.h"
#include "loraproof/merge/background.h"

namespace loraproof::merge {

/// An open file that its last user closes.
class OpenFile {
 public:
  OpenFile(int descriptor, std::filesystem::path path)
      : descriptor_(descriptor), path_(std::move(path)) {}
  ~OpenFile() { ::close(descriptor_); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  [[nodiscard]] int descriptor() const { return descriptor_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  int descriptor_;
  std::filesystem::path path_;
};

class Flusher {
 public:
  /// Has the kernel begin with what has been written to the file so far; what it lacks then,
  /// flush() reports.
  void start(std::shared_ptr<const OpenFile> file) {
    thread_.push([file = std::move(file)] {
      (void)::sync_file_range(file->descriptor(), 0, 0, SYNC_FILE_RANGE_WRITE);
    });
  }
  /// Flushes what has been written to the file so far, on a thread of its own; waits while it is
  /// far behind, so that unwritten pages don't pile up.
  void flush(std::shared_ptr<const OpenFile> file) {
    thread_.push([file = std::move(file)] {
      if (::fdatasync(file->descriptor()) != 0) throw write_error(file->path(), errno);
    });
  }
  /// Waits; an input Error where a flush failed.
  void finish() { thread_.finish(); }

 private:
  Background thread_{2};
};

}  // namespace loraproof::merge
