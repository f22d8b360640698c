// SPDX-License-Identifier: Apache-2.0
#include "loraproof/merge/output_file.h"

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

#include "loraproof/core/digest.h"
#include "loraproof/core/file.h"
#include "loraproof/merge/background.h"

namespace loraproof::merge {
namespace {

constexpr std::size_t kMostWaiting = 4;  // blocks that the digest may lag behind
// The kernel by itself begins to write when a tenth of the memory is dirty.
constexpr std::uint64_t kStartBytes = std::uint64_t{64} << 20;

}  // namespace

struct OutputFile::Hasher {
  Sha256 sha;
  Background thread{kMostWaiting};
};

OutputFile::OutputFile(const std::filesystem::path& path, Flusher& flusher) : flusher_(flusher) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (descriptor < 0) throw write_error(path, errno);
  file_ = std::make_shared<const OpenFile>(descriptor, path);
  hasher_ = std::make_unique<Hasher>();
}

OutputFile::~OutputFile() = default;

void OutputFile::write(std::uint64_t at, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count =
        ::pwrite(file_->descriptor(), bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw write_error(file_->path(), errno);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    at += static_cast<std::uint64_t>(count);
  }
}

void OutputFile::digest(std::span<const std::byte> bytes,
                        const std::shared_ptr<const void>& owner) {
  hasher_->thread.push([this, bytes, owner] { hasher_->sha.update(bytes); });
  digested_ += bytes.size();
  if (digested_ - started_ < kStartBytes) return;
  flusher_.start(file_);
  started_ = digested_;
}

std::string OutputFile::finish() {
  flusher_.flush(file_);
  hasher_->thread.finish();
  return hasher_->sha.finish();
}

}  // namespace loraproof::merge
