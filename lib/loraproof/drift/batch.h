// SPDX-License-Identifier: Apache-2.0
// Cuts a log into batches of whole lines, the work of one thread at a time. With a limit, so that a
// line without end fills no memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/core/digest.h"
#include "loraproof/drift/profile.h"
#include "loraproof/drift/source.h"

namespace loraproof::drift {

struct BadLine {
  Malformed kind = Malformed::Json;
  std::size_t input = 0;  ///< index of the input
  std::int64_t line = 0;  ///< from 1
};

struct Batch {
  struct Line {
    std::size_t begin = 0;
    std::size_t size = 0;
    std::int64_t number = 0;
    std::size_t input = 0;
  };
  std::string data;         ///< ends with kPadding zero bytes, which the JSON parser may read
  std::vector<Line> lines;  ///< not blank
  std::vector<std::size_t> unit_ends;   ///< of each unit in `lines`; empty: each line is a unit
  std::vector<std::string> unit_names;  ///< cluster ids, one for each of unit_ends
  std::vector<BadLine> bad;             ///< lines that are not in `lines`: too long

  [[nodiscard]] std::string_view text(const Line& line) const {
    return std::string_view(data).substr(line.begin, line.size);
  }
};
inline constexpr std::size_t kPadding = 64;

class BatchReader {
 public:
  /// `path`: "-" is stdin. `input`: its index.
  BatchReader(const std::string& path, std::size_t input, std::size_t max_line_bytes,
              std::int64_t* consumed);

  /// False at the end.
  bool next(Batch& out);

  /// SHA-256 over the unpacked bytes, once next() has returned false; "" when there were none.
  [[nodiscard]] std::string digest();

 private:
  bool fill(std::string& data);
  void split(Batch& out);
  void add_line(Batch& out, std::size_t begin, std::size_t end);

  std::string path_;
  std::unique_ptr<ByteSource> source_;
  std::size_t input_;
  std::size_t max_line_bytes_;
  std::string rest_;       // a line that has begun
  bool skipping_ = false;  // inside a line that is too long
  bool ended_ = false;
  bool any_bytes_ = false;
  std::int64_t number_ = 0;
  Sha256 sha_;
};

}  // namespace loraproof::drift
