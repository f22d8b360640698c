// SPDX-License-Identifier: Apache-2.0
// Digests of a base's tensors while it is merged: from the cache of this machine, else from the
// pass that reads the base anyway.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "loraproof/io/checkpoint.h"
#include "loraproof/io/digest.h"
#include "loraproof/merge/write.h"

namespace loraproof::commands {

class BaseDigests {
 public:
  explicit BaseDigests(const io::Checkpoint& base);

  /// Names of the files whose digests have to be taken.
  [[nodiscard]] std::set<std::string> unknown() const;
  /// Of all tensors; what the merge took is remembered in the cache.
  [[nodiscard]] io::DigestByName all(const std::vector<merge::FileResult>& files);

 private:
  const io::Checkpoint& base_;
  io::DigestCache cache_;
  io::DigestByName known_;
  std::map<std::string, io::DigestStamp> unknown_;  // by file name, before it was read
};

}  // namespace loraproof::commands
