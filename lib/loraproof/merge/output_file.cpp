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

}  // namespace

struct OutputFile::Hasher {
  Sha256 sha;
  Background thread{kMostWaiting};
};

OutputFile::OutputFile(std::filesystem::path path) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (descriptor_ < 0) throw write_error(path_, errno);
  hasher_ = std::make_unique<Hasher>();
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void OutputFile::append(std::span<const std::byte> bytes,
                        const std::shared_ptr<const void>& owner) {
  // Which may be done before the bytes are written.
  hasher_->thread.push([this, bytes, owner] { hasher_->sha.update(bytes); });
  for (std::span<const std::byte> rest = bytes; !rest.empty();) {
    const ssize_t count = ::write(descriptor_, rest.data(), rest.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw write_error(path_, errno);
    rest = rest.subspan(static_cast<std::size_t>(count));
  }
#ifdef __linux__
  // Begins to flush now, while the next blocks are computed.
  ::sync_file_range(descriptor_, static_cast<off64_t>(written_), static_cast<off64_t>(bytes.size()),
                    SYNC_FILE_RANGE_WRITE);
#endif
  written_ += bytes.size();
}

std::string OutputFile::finish() {
  if (::close(std::exchange(descriptor_, -1)) != 0) throw write_error(path_, errno);
  hasher_->thread.finish();
  return hasher_->sha.finish();
}

}  // namespace loraproof::merge
