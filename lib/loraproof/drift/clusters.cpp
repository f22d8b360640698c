// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/clusters.h"

#include <fmt/format.h>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/drift/hash.h"

namespace loraproof::drift {
namespace {

constexpr std::size_t kReadyBytes = std::size_t{1} << 19;
constexpr std::size_t kLineOverhead = 96;  // what a line costs beside its bytes, roughly

std::uint64_t name_hash(const std::string& name) { return siphash({}, name); }

}  // namespace

ClusterBatcher::ClusterBatcher(RecordOptions options, std::size_t open_bytes)
    : parser_(std::move(options)), max_open_bytes_(open_bytes) {}

void ClusterBatcher::add(const Batch& batch) {
  ready_.bad.insert(ready_.bad.end(), batch.bad.begin(), batch.bad.end());
  for (const Batch::Line& line : batch.lines) {
    Malformed why{};
    const std::optional<std::string> name = parser_.cluster_of(batch.text(line), why);
    if (!name) {
      ready_.bad.push_back({.kind = why, .input = line.input, .line = line.number});
      continue;
    }
    auto known = by_name_.find(*name);
    if (known == by_name_.end()) {
      if (closed_.contains(name_hash(*name))) {
        throw input_error(
            {.message = "a session comes back after too much other traffic",
             .where = fmt::format("line {}", line.number),
             .found = "session " + name->substr(0, 60),
             .hint = "sort the log by its session id before profiling it with --cluster"});
      }
      open_.push_back({.name = *name});
      known = by_name_.emplace(*name, std::prev(open_.end())).first;
    }
    Session& session = *known->second;
    open_.splice(open_.end(), open_, known->second);
    Batch::Line copy = line;
    copy.begin = session.data.size();
    session.data.append(batch.text(line));
    session.lines.push_back(copy);
    open_bytes_ += line.size + kLineOverhead;
    while (open_bytes_ > max_open_bytes_ && !open_.empty()) close(open_.begin());
  }
}

void ClusterBatcher::close(std::list<Session>::iterator session) {
  const std::size_t shift = ready_.data.size();
  ready_.data += session->data;
  for (Batch::Line line : session->lines) {
    line.begin += shift;
    ready_.lines.push_back(line);
  }
  ready_.unit_ends.push_back(ready_.lines.size());
  ready_.unit_names.push_back(session->name);
  open_bytes_ -= session->data.size() + session->lines.size() * kLineOverhead;
  closed_.insert(name_hash(session->name));
  by_name_.erase(session->name);
  open_.erase(session);
}

void ClusterBatcher::finish() { finished_ = true; }

bool ClusterBatcher::take(Batch& out) {
  while (finished_ && !open_.empty() && ready_.data.size() < kReadyBytes) close(open_.begin());
  const bool any = !ready_.lines.empty() || !ready_.bad.empty();
  if (!any || (!finished_ && ready_.data.size() < kReadyBytes)) return false;
  ready_.data.append(kPadding, '\0');
  out = std::exchange(ready_, {});
  return true;
}

}  // namespace loraproof::drift
