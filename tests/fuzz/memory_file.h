// SPDX-License-Identifier: Apache-2.0
// A file that exists only in memory, for readers that take a path. Linux.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>

namespace loraproof::fuzz {

class MemoryFile {
 public:
  explicit MemoryFile(std::string_view text) : descriptor_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    const auto bytes = static_cast<ssize_t>(text.size());
    if (descriptor_ < 0 || ::write(descriptor_, text.data(), text.size()) != bytes) std::abort();
  }
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  /// Opening it anew reads from the beginning.
  [[nodiscard]] std::filesystem::path path() const {
    return "/proc/self/fd/" + std::to_string(descriptor_);
  }

 private:
  int descriptor_;
};

}  // namespace loraproof::fuzz
