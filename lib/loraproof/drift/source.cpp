// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/source.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>
#include <zlib.h>
#include <zstd.h>

#include "loraproof/core/error.h"

namespace loraproof::drift {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 18;

Error packed_error(const std::string& path, std::string message, std::string found = "") {
  return input_error({.message = std::move(message),
                      .file = path,
                      .found = std::move(found),
                      .hint = "copy or pack the file again"});
}

class RawSource final : public ByteSource {
 public:
  RawSource(std::string path, std::int64_t* consumed)
      : path_(std::move(path)), consumed_(consumed) {
    fd_ = path_ == "-" ? ::dup(STDIN_FILENO) : ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) throw system_error("cannot open");
    struct stat status {};
    if (::fstat(fd_, &status) == 0 && S_ISDIR(status.st_mode)) {
      ::close(std::exchange(fd_, -1));
      throw input_error({.message = "is a folder", .file = path_, .expected = "a JSON Lines file"});
    }
  }
  ~RawSource() override {
    if (fd_ >= 0) ::close(fd_);
  }
  RawSource(const RawSource&) = delete;
  RawSource& operator=(const RawSource&) = delete;

  std::size_t read(char* out, std::size_t size) override {
    if (!pushed_back_.empty()) {
      const std::size_t count = std::min(size, pushed_back_.size());
      std::memcpy(out, pushed_back_.data(), count);
      pushed_back_.erase(0, count);
      return count;
    }
    while (true) {
      const ssize_t count = ::read(fd_, out, size);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) throw system_error("cannot read");
      if (consumed_ != nullptr) *consumed_ += count;
      return static_cast<std::size_t>(count);
    }
  }

  /// The first bytes, which stay to be read.
  std::string_view peek(std::size_t size) {
    std::string head(size, '\0');
    std::size_t have = 0;
    while (have < size) {
      const std::size_t count = read(head.data() + have, size - have);
      if (count == 0) break;
      have += count;
    }
    head.resize(have);
    pushed_back_ = std::move(head);
    return pushed_back_;
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  [[nodiscard]] Error system_error(std::string_view doing) const {
    return input_error({.message = fmt::format("{}: {}", doing, std::strerror(errno)),
                        .file = path_ == "-" ? "stdin" : path_,
                        .hint = "check the path and its permissions"});
  }
  std::string path_;
  std::int64_t* consumed_;
  int fd_ = -1;
  std::string pushed_back_;
};

class GzipSource final : public ByteSource {
 public:
  explicit GzipSource(std::unique_ptr<RawSource> raw) : raw_(std::move(raw)), in_(kChunkBytes) {
    if (::inflateInit2(&stream_, 15 + 16) != Z_OK)
      throw internal_error({.message = "zlib failed to start"});
  }
  ~GzipSource() override { ::inflateEnd(&stream_); }
  GzipSource(const GzipSource&) = delete;
  GzipSource& operator=(const GzipSource&) = delete;

  std::size_t read(char* out, std::size_t size) override {
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    stream_.avail_out = static_cast<uInt>(std::min(size, kChunkBytes));
    const uInt wanted = stream_.avail_out;
    while (stream_.avail_out == wanted && !ended_) {
      if (stream_.avail_in == 0 && !fill()) {
        if (!between_members_) throw packed_error(raw_->path(), "the gzip file is cut short");
        ended_ = true;
        break;
      }
      if (between_members_ && !begin_member()) continue;
      const int result = ::inflate(&stream_, Z_NO_FLUSH);
      if (result == Z_STREAM_END) {
        between_members_ = true;  // another may follow, as `cat a.gz b.gz` makes it
        ::inflateReset(&stream_);
      } else if (result != Z_OK && result != Z_BUF_ERROR) {
        throw packed_error(raw_->path(), "the gzip file is damaged",
                           stream_.msg == nullptr ? "" : stream_.msg);
      }
    }
    return wanted - stream_.avail_out;
  }

 private:
  bool fill() {
    stream_.avail_in = static_cast<uInt>(raw_->read(in_.data(), in_.size()));
    stream_.next_in = reinterpret_cast<Bytef*>(in_.data());
    return stream_.avail_in > 0;
  }
  // Tape drives pad with zeros; anything else after a member must be a member. False: read on.
  bool begin_member() {
    while (stream_.avail_in > 0 && *stream_.next_in == 0) {
      ++stream_.next_in;
      --stream_.avail_in;
    }
    between_members_ = stream_.avail_in == 0;
    return !between_members_;
  }

  std::unique_ptr<RawSource> raw_;
  std::vector<char> in_;
  z_stream stream_{};
  bool between_members_ = false;
  bool ended_ = false;
};

class ZstdSource final : public ByteSource {
 public:
  explicit ZstdSource(std::unique_ptr<RawSource> raw)
      : raw_(std::move(raw)),
        in_(kChunkBytes),
        stream_(::ZSTD_createDStream(), &::ZSTD_freeDStream) {
    if (stream_ == nullptr) throw internal_error({.message = "zstd failed to start"});
  }

  std::size_t read(char* out, std::size_t size) override {
    ZSTD_outBuffer output{out, size, 0};
    while (output.pos == 0) {
      if (input_.pos == input_.size) {
        const std::size_t count = raw_->read(in_.data(), in_.size());
        if (count == 0) {
          if (left_ != 0) throw packed_error(raw_->path(), "the zstd file is cut short");
          return 0;
        }
        input_ = {in_.data(), count, 0};
      }
      left_ = ::ZSTD_decompressStream(stream_.get(), &output, &input_);
      if (::ZSTD_isError(left_) != 0) {
        throw packed_error(raw_->path(), "the zstd file is damaged", ::ZSTD_getErrorName(left_));
      }
    }
    return output.pos;
  }

 private:
  std::unique_ptr<RawSource> raw_;
  std::vector<char> in_;
  std::unique_ptr<ZSTD_DStream, std::size_t (*)(ZSTD_DStream*)> stream_;
  ZSTD_inBuffer input_{nullptr, 0, 0};
  std::size_t left_ = 0;  // 0: a frame has just ended
};

}  // namespace

std::unique_ptr<ByteSource> open_source(const std::string& path, std::int64_t* consumed) {
  auto raw = std::make_unique<RawSource>(path, consumed);
  const std::string_view head = raw->peek(4);
  if (head.starts_with("\x1F\x8B")) return std::make_unique<GzipSource>(std::move(raw));
  if (head == "\x28\xB5\x2F\xFD") return std::make_unique<ZstdSource>(std::move(raw));
  return raw;
}

}  // namespace loraproof::drift
