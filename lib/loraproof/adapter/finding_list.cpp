// SPDX-License-Identifier: Apache-2.0
#include "loraproof/adapter/finding_list.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace loraproof::adapter {
namespace {
constexpr std::size_t kNamedOthers = 4;
}

void FindingList::add(Occurrence occurrence) {
  const auto group = std::find_if(groups_.begin(), groups_.end(), [&](const Group& g) {
    return g.first.id == occurrence.id && g.first.kind == occurrence.kind;
  });
  if (group == groups_.end()) {
    groups_.push_back({std::move(occurrence), {}, 1});
    return;
  }
  ++group->count;
  if (group->others.size() < kNamedOthers) group->others.push_back(std::move(occurrence.subject));
}

bool FindingList::has(const std::string& id, const std::string& kind) const {
  return std::any_of(groups_.begin(), groups_.end(),
                     [&](const Group& g) { return g.first.id == id && g.first.kind == kind; });
}

std::vector<Finding> FindingList::finish() const {
  std::vector<Finding> result;
  for (const auto& group : groups_) {
    const Occurrence& first = group.first;
    std::string message = first.message;
    if (group.count > 1) {
      const std::string count = first.of > 0
                                    ? fmt::format("{} of {} {}", group.count, first.of, first.noun)
                                    : fmt::format("{} times", group.count);
      const auto unnamed = group.count - 1 - static_cast<std::int64_t>(group.others.size());
      message += fmt::format(" ({}; also {}{})", count, fmt::join(group.others, ", "),
                             unnamed > 0 ? fmt::format(" and {} more", unnamed) : "");
    }
    result.push_back({first.id, first.subject, std::move(message), first.hint, first.fail,
                      group.count, first.of});
  }
  return result;
}

}  // namespace loraproof::adapter
