// SPDX-License-Identifier: Apache-2.0
// Gathers findings of the same kind into one, so that an adapter without a prefix gives one line
// that says "420 of 420", not 420 lines. Internal to adapter/.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "loraproof/adapter/finding.h"

namespace loraproof::adapter {

class FindingList {
 public:
  /// Adds one occurrence. Occurrences with the same id and `kind` are gathered; message and hint
  /// are those of the first. `of` and `noun` say what the count is out of ("14 of 28 targets").
  struct Occurrence {
    std::string id;
    std::string kind;
    std::string subject;
    std::string message;
    std::string hint;
    bool fail = true;
    std::int64_t of = 0;
    std::string noun;
  };
  void add(Occurrence occurrence);

  /// True when an occurrence of this id and kind is there already: its message need not be made.
  [[nodiscard]] bool has(const std::string& id, const std::string& kind) const;

  /// In order of first occurrence.
  [[nodiscard]] std::vector<Finding> finish() const;

 private:
  struct Group {
    Occurrence first;
    std::vector<std::string> others;  // the first few
    std::int64_t count = 1;
  };
  std::vector<Group> groups_;
};

}  // namespace loraproof::adapter
