// SPDX-License-Identifier: Apache-2.0
#include "loraproof/io/jsonl.h"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "loraproof/core/error.h"
#include "loraproof/core/json.h"

namespace loraproof::io {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 18;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// std::getline has no limit; this one stops a line without end before it fills the memory.
class LineReader {
 public:
  LineReader(const std::filesystem::path& path, std::size_t max_line_bytes)
      : path_(path), max_line_bytes_(max_line_bytes), buffer_(kChunkBytes) {
    errno = 0;
    stream_.open(path, std::ios::binary);
    if (!stream_) throw read_error("cannot open");
  }

  /// The next line without its '\n', or false at the end of the file.
  bool next(std::string& line) {
    line.clear();
    ++number_;
    while (true) {
      if (rest_.empty() && !fill()) return !line.empty();
      const std::size_t end = rest_.find('\n');
      const std::string_view part = rest_.substr(0, end);
      if (line.size() + part.size() > max_line_bytes_) {
        throw input_error({.message = "line is too long",
                           .file = path_.string(),
                           .where = fmt::format("line {}", number_),
                           .expected = fmt::format("at most {} bytes", max_line_bytes_),
                           .hint = "JSON Lines has one value a line"});
      }
      line += part;
      rest_.remove_prefix(end == rest_.npos ? rest_.size() : end + 1);
      if (end != part.npos) return true;
    }
  }
  [[nodiscard]] std::int64_t number() const { return number_; }

 private:
  bool fill() {
    errno = 0;
    stream_.read(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
    if (stream_.bad()) throw read_error("cannot read");
    rest_ = {buffer_.data(), static_cast<std::size_t>(stream_.gcount())};
    return !rest_.empty();
  }

  [[nodiscard]] Error read_error(std::string_view doing) const {
    return input_error({.message = fmt::format(
                            "{}: {}", doing, errno == 0 ? "unknown reason" : std::strerror(errno)),
                        .file = path_.string(),
                        .hint = "check the path and its permissions"});
  }

  std::filesystem::path path_;
  std::size_t max_line_bytes_;
  std::vector<char> buffer_;
  std::string_view rest_;  // of buffer_, not yet handed out
  std::ifstream stream_;
  std::int64_t number_ = 0;
};

// parse_json saw one line and counts from 1; the reader of the message wants the line of the file.
Error at_line(const Error& error, std::int64_t number) {
  ErrorDetail detail = error.detail();
  const std::size_t column = detail.where.find(", column ");
  detail.where = fmt::format("line {}{}", number,
                             column == std::string::npos ? "" : detail.where.substr(column));
  return {error.kind(), std::move(detail)};
}

}  // namespace

std::int64_t for_each_json_line(const std::filesystem::path& path,
                                const std::function<void(const Json&, std::int64_t)>& use,
                                JsonLinesLimits limits) {
  std::error_code code;
  if (std::filesystem::is_directory(path, code)) {
    throw input_error(
        {.message = "is a folder", .file = path.string(), .expected = "a JSON Lines file"});
  }
  const std::string file = path.string();
  LineReader reader(path, limits.max_line_bytes);
  std::string line;
  std::int64_t count = 0;
  while (reader.next(line)) {
    std::string_view text = line;
    if (reader.number() == 1) {
      if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
      if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) {
        throw input_error({.message = "text is UTF-16",
                           .file = file,
                           .where = "line 1",
                           .expected = "UTF-8",
                           .hint = "save the file as UTF-8"});
      }
    }
    if (text.find_first_not_of(" \t\r") == text.npos) continue;
    Json value;
    try {
      value = parse_json(text, file,
                         {.max_bytes = limits.max_line_bytes, .max_depth = limits.max_depth});
    } catch (const Error& error) {
      throw at_line(error, reader.number());
    }
    use(value, reader.number());
    ++count;
  }
  return count;
}

}  // namespace loraproof::io
