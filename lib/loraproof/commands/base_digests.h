// SPDX-License-Identifier: Apache-2.0
// Digests of a base's tensors: from the cache of this machine, else from a pass that reads the base
// anyway, else taken now.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>

#include "loraproof/core/progress.h"
#include "loraproof/io/checkpoint.h"
#include "loraproof/io/digest.h"
#include "loraproof/merge/write.h"

namespace loraproof::commands {

class BaseDigests {
 public:
  explicit BaseDigests(const io::Checkpoint& base);

  /// Names of the files whose digests have to be taken.
  [[nodiscard]] std::set<std::string> unknown() const;
  /// Of all tensors; what a merge took (`files`) or this takes is remembered in the cache.
  [[nodiscard]] io::DigestByName all(std::span<const merge::FileResult> files, Progress& progress);

 private:
  const io::Checkpoint& base_;
  io::DigestCache cache_;
  io::DigestByName known_;
  std::map<std::string, io::DigestStamp> unknown_;  // by file name, before it was read
};

}  // namespace loraproof::commands
