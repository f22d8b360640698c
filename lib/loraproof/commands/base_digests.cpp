// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/base_digests.h"

#include <algorithm>
#include <utility>

namespace loraproof::commands {
namespace {

std::string name_of(const io::SafetensorsFile& file) {
  return file.file().path().filename().string();
}

io::DigestByName digests_of(const io::SafetensorsFile& file) {
  io::DigestByName digests;
  for (const io::TensorView& view : file.tensors()) {
    digests[view.name] = io::tensor_digest(
        view, [&](std::span<const std::byte> passed) { file.file().done_with(passed); });
  }
  return digests;
}

}  // namespace

BaseDigests::BaseDigests(const io::Checkpoint& base) : base_(base) {
  for (const io::SafetensorsFile& file : base.files()) {
    if (auto cached = cache_.find(file.file().path())) {
      known_.merge(*cached);
    } else {
      unknown_[name_of(file)] = io::DigestCache::stamp(file.file().path());
    }
  }
}

std::set<std::string> BaseDigests::unknown() const {
  std::set<std::string> names;
  for (const auto& [name, stamp] : unknown_) names.insert(name);
  return names;
}

io::DigestByName BaseDigests::all(std::span<const merge::FileResult> files, Progress& progress) {
  progress.begin("digests", static_cast<std::int64_t>(base_.files().size()), "files");
  for (const io::SafetensorsFile& file : base_.files()) {
    progress.advance();
    const auto unknown = unknown_.find(name_of(file));
    if (unknown == unknown_.end()) continue;
    const auto written = std::ranges::find(files, unknown->first, &merge::FileResult::name);
    // A file that an interrupted run left complete may have been in the cache then.
    const bool taken = written != files.end() && !written->base.empty();
    io::DigestByName digests = taken ? written->base : digests_of(file);
    cache_.store(file.file().path(), unknown->second, digests);
    known_.merge(digests);
  }
  progress.end();
  cache_.save();
  return known_;
}

}  // namespace loraproof::commands
