// SPDX-License-Identifier: Apache-2.0
// A new file that several threads write, with its digest taken on a thread of its own. For this
// module only.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "loraproof/merge/flusher.h"

namespace loraproof::merge {

class OutputFile {
 public:
  /// Creates it; an existing file is an input Error. `flusher` outlives it.
  OutputFile(const std::filesystem::path& path, Flusher& flusher);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  /// Writes bytes to their place. From any thread.
  void write(std::uint64_t at, std::span<const std::byte> bytes);
  /// Takes bytes that have been written into the digest, in their order. `owner` keeps them alive
  /// until then.
  void digest(std::span<const std::byte> bytes, const std::shared_ptr<const void>& owner);
  /// "sha256:..." of all bytes. They are on their way to the disk: who waits for the flusher waits
  /// for them, so that the next file need not.
  [[nodiscard]] std::string finish();

 private:
  struct Hasher;
  std::shared_ptr<const OpenFile> file_;
  Flusher& flusher_;
  std::uint64_t digested_ = 0;
  std::uint64_t started_ = 0;  // up to here the kernel was asked to write
  std::unique_ptr<Hasher> hasher_;
};

}  // namespace loraproof::merge
