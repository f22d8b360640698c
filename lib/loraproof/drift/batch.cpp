// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/batch.h"

#include <cstring>

#include "loraproof/core/error.h"

namespace loraproof::drift {
namespace {

constexpr std::size_t kBatchBytes = std::size_t{1} << 19;
constexpr std::size_t kReadBytes = std::size_t{1} << 18;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

BatchReader::BatchReader(const std::string& path, std::size_t input, std::size_t max_line_bytes,
                         std::int64_t* consumed)
    : path_(path),
      source_(open_source(path, consumed)),
      input_(input),
      max_line_bytes_(max_line_bytes) {}

// Appends what the source has next; false at its end.
bool BatchReader::fill(std::string& data) {
  const std::size_t before = data.size();
  data.resize(before + kReadBytes);
  const std::size_t count = source_->read(data.data() + before, kReadBytes);
  data.resize(before + count);
  if (count == 0) return false;
  const std::string_view fresh(data.data() + before, count);
  sha_.update(fresh);
  if (!any_bytes_ && (fresh.starts_with("\xFF\xFE") || fresh.starts_with("\xFE\xFF"))) {
    throw input_error({.message = "text is UTF-16",
                       .file = path_ == "-" ? "stdin" : path_,
                       .expected = "UTF-8",
                       .hint = "save the file as UTF-8"});
  }
  any_bytes_ = true;
  return true;
}

bool BatchReader::next(Batch& out) {
  out.lines.clear();
  out.unit_ends.clear();
  out.unit_names.clear();
  out.bad.clear();
  out.data = std::move(rest_);
  rest_.clear();
  std::size_t whole = 0;  // bytes of whole lines in out.data
  std::size_t looked_at = 0;
  while (!ended_ && (whole == 0 || out.data.size() < kBatchBytes)) {
    if (!fill(out.data)) {
      ended_ = true;
      whole = out.data.size();
      break;
    }
    const void* last = ::memrchr(out.data.data() + looked_at, '\n', out.data.size() - looked_at);
    if (last != nullptr)
      whole = static_cast<std::size_t>(static_cast<const char*>(last) - out.data.data()) + 1;
    looked_at = out.data.size();
    if (whole == 0 && (skipping_ || out.data.size() > max_line_bytes_)) {
      skipping_ = true;  // its end will come; the bytes before it are of no use
      out.data.clear();
      looked_at = 0;
    }
  }
  rest_ = out.data.substr(whole);
  out.data.resize(whole);
  split(out);
  out.data.append(kPadding, '\0');
  return !out.lines.empty() || !out.bad.empty() || !ended_;
}

void BatchReader::split(Batch& out) {
  for (std::size_t begin = 0; begin < out.data.size() || (ended_ && skipping_);) {
    const void* found = begin < out.data.size()
                            ? std::memchr(out.data.data() + begin, '\n', out.data.size() - begin)
                            : nullptr;
    const std::size_t end =
        found == nullptr
            ? out.data.size()
            : static_cast<std::size_t>(static_cast<const char*>(found) - out.data.data());
    add_line(out, begin, end);
    begin = end + 1;
  }
}

void BatchReader::add_line(Batch& out, std::size_t begin, std::size_t end) {
  ++number_;
  if (skipping_ || end - begin > max_line_bytes_) {
    skipping_ = false;
    out.bad.push_back({.kind = Malformed::TooLong, .input = input_, .line = number_});
    return;
  }
  std::string_view text = std::string_view(out.data).substr(begin, end - begin);
  if (number_ == 1 && text.starts_with(kByteOrderMark)) {
    text.remove_prefix(kByteOrderMark.size());
    begin += kByteOrderMark.size();
  }
  if (text.ends_with('\r')) text.remove_suffix(1);
  if (text.find_first_not_of(" \t\r") == text.npos) return;
  out.lines.push_back({.begin = begin, .size = text.size(), .number = number_, .input = input_});
}

std::string BatchReader::digest() { return any_bytes_ ? sha_.finish() : ""; }

}  // namespace loraproof::drift
