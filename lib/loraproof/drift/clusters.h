// SPDX-License-Identifier: Apache-2.0
// Gathers the lines of a session that stand apart in a log, in bounded memory: sessions stay open
// while there is room, the one that was silent longest is closed first. Which batches come out
// depends on the log alone.
#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "loraproof/drift/batch.h"
#include "loraproof/drift/record.h"

namespace loraproof::drift {

class ClusterBatcher {
 public:
  explicit ClusterBatcher(RecordOptions options, std::size_t open_bytes = kOpenBytes);

  /// Takes the lines of a batch. Input Error when a session comes back that was closed.
  void add(const Batch& batch);
  /// No more lines: closes what is open, oldest first.
  void finish();
  /// A batch of whole sessions when there is enough for one (after finish: whatever is left).
  [[nodiscard]] bool take(Batch& out);

  static constexpr std::size_t kOpenBytes = std::size_t{64} << 20;

 private:
  struct Session {
    std::string name;
    std::string data;
    std::vector<Batch::Line> lines;  // begin counts in data
  };
  void close(std::list<Session>::iterator session);

  RecordParser parser_;
  std::size_t max_open_bytes_;
  std::size_t open_bytes_ = 0;
  bool finished_ = false;
  std::list<Session> open_;  // the one that was silent longest first
  std::unordered_map<std::string, std::list<Session>::iterator> by_name_;
  std::unordered_set<std::uint64_t> closed_;
  Batch ready_;
};

}  // namespace loraproof::drift
