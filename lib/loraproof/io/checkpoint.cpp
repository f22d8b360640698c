// SPDX-License-Identifier: Apache-2.0
#include "loraproof/io/checkpoint.h"

#include <algorithm>
#include <fmt/format.h>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/core/json.h"

namespace loraproof::io {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSingleFile = "model.safetensors";
constexpr std::string_view kIndexFile = "model.safetensors.index.json";

// What the folder holds instead of the two files we read, so that the error can say what to do.
Error no_weights_error(const fs::path& folder) {
  std::set<std::string> extensions;
  std::string safetensors;
  bool adapter = false;
  std::error_code code;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code)) {
    const fs::path& name = it->path();
    extensions.insert(name.extension().string());
    if (name.filename().string().starts_with("adapter_")) adapter = true;
    if (name.extension() == ".safetensors" &&
        (safetensors.empty() || name.filename() < safetensors)) {
      safetensors = name.filename().string();
    }
  }
  ErrorDetail detail{.id = "base.no_weights",
                     .message = "no model weights in this folder",
                     .file = folder.string(),
                     .expected = fmt::format("{} or {}", kSingleFile, kIndexFile)};
  std::error_code ignored;
  if (fs::is_symlink(folder / kSingleFile, ignored) ||
      fs::is_symlink(folder / kIndexFile, ignored)) {
    detail.found = "a symbolic link to a file that is not there";
    detail.hint = "the Hugging Face cache may have been cleaned: download the model again";
  } else if (code) {
    detail.found = "a folder that cannot be listed: " + code.message();
  } else if (adapter) {
    detail.found = "an adapter";
    detail.hint = "pass it with --adapter, and its base model with --base";
  } else if (!safetensors.empty()) {
    detail.found = safetensors;
    detail.hint = fmt::format("a sharded model needs its {}", kIndexFile);
  } else if (extensions.contains(".bin") || extensions.contains(".pt") ||
             extensions.contains(".pth")) {
    detail.id = "base.pickle";
    detail.message = "weights as pickle (.bin, .pt, .pth) are refused: loading them can run code";
    detail.hint =
        "convert where you trust the file: load it with transformers from_pretrained and call "
        "save_pretrained";
  } else if (extensions.contains(".gguf")) {
    detail.id = "base.gguf";
    detail.message = "weights as GGUF are not read here";
    detail.hint =
        "convert with transformers: from_pretrained(folder, gguf_file=...), then save_pretrained";
  } else {
    detail.hint = "check the path; an unfinished download looks like this too";
  }
  return input_error(std::move(detail));
}

void check_shard_name(const std::string& shard, const std::string& index, const std::string& name) {
  const bool plain = !shard.empty() && shard != "." && shard != ".." &&
                     shard.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
  if (!plain) {
    throw input_error({.id = "base.shard_name",
                       .message = "shard name is not a plain file name",
                       .file = index,
                       .where = name,
                       .expected = "a file in the same folder",
                       .found = brief(Json(shard))});
  }
  if (!shard.ends_with(".safetensors")) {
    throw input_error({.id = "base.shard_type",
                       .message = "shard is not a safetensors file",
                       .file = index,
                       .where = name,
                       .expected = "*.safetensors",
                       .found = brief(Json(shard))});
  }
}

// weight_map of the index: tensor name → shard file name.
std::map<std::string, std::string> read_weight_map(const fs::path& path) {
  const Json document = read_json_file(path, {.max_depth = 8});
  const JsonObject root(document, path.string());
  const JsonObject entries = root.object("weight_map");
  std::map<std::string, std::string> shard_by_name;
  for (const auto& [name, value] : entries.json().items()) {
    if (!value.is_string()) {
      throw input_error({.id = "base.weight_map",
                         .message = "weight_map value is not a file name",
                         .file = path.string(),
                         .where = name,
                         .expected = "a string",
                         .found = brief(value)});
    }
    check_shard_name(value.get_ref<const std::string&>(), path.string(), name);
    shard_by_name.emplace(name, value.get<std::string>());
  }
  if (shard_by_name.empty()) {
    throw input_error({.id = "base.weight_map",
                       .message = "weight_map is empty",
                       .file = path.string(),
                       .where = "/weight_map",
                       .expected = "at least one tensor"});
  }
  return shard_by_name;
}

// Every tensor in exactly the shard the index names, and nothing else in the shards.
void check_against_index(const std::vector<SafetensorsFile>& files,
                         const std::map<std::string, std::string>& shard_by_name,
                         const std::string& index) {
  std::map<std::string, const SafetensorsFile*> file_by_shard;
  for (const SafetensorsFile& file : files) {
    file_by_shard[file.file().path().filename().string()] = &file;
  }
  for (const auto& [name, shard] : shard_by_name) {
    const SafetensorsFile& file = *file_by_shard.at(shard);
    if (file.find(name) == nullptr) {
      throw input_error({.id = "base.missing_tensor",
                         .message = "tensor is missing from the shard that the index names",
                         .file = file.file().path().string(),
                         .where = name,
                         .expected = fmt::format("as in {}", index),
                         .hint = "index and shards are from different exports, or one is old"});
    }
  }
  for (const SafetensorsFile& file : files) {
    const std::string shard = file.file().path().filename().string();
    for (const TensorView& view : file.tensors()) {
      const auto assigned = shard_by_name.find(view.name);
      if (assigned != shard_by_name.end() && assigned->second == shard) continue;
      throw input_error(
          {.id = "base.stray_tensor",
           .message = "shard holds a tensor that the index does not assign to it",
           .file = file.file().path().string(),
           .where = view.name,
           .expected = assigned == shard_by_name.end() ? "no such tensor" : assigned->second,
           .found = shard,
           .hint = "index and shards are from different exports, or one is old"});
    }
  }
}

std::vector<SafetensorsFile> open_shards(const fs::path& folder, const fs::path& index) {
  const auto shard_by_name = read_weight_map(index);
  std::set<std::string> shards;
  for (const auto& [name, shard] : shard_by_name) shards.insert(shard);

  std::string first_missing;
  std::size_t missing = 0;
  for (const std::string& shard : shards) {
    std::error_code code;
    if (fs::exists(folder / shard, code)) continue;
    if (missing++ == 0) first_missing = shard;
  }
  if (missing > 0) {
    throw input_error({.id = "base.missing_shard",
                       .message = fmt::format("{} of {} shards missing", missing, shards.size()),
                       .file = index.string(),
                       .expected = (folder / first_missing).string(),
                       .hint = "the download may be incomplete"});
  }
  std::vector<SafetensorsFile> files;
  files.reserve(shards.size());
  for (const std::string& shard : shards) files.emplace_back(folder / shard);
  check_against_index(files, shard_by_name, index.string());
  return files;
}

bool lies_within(std::span<const std::byte> inner, std::span<const std::byte> outer) {
  const std::less_equal<const std::byte*> not_after;  // total order over unrelated pointers
  return not_after(outer.data(), inner.data()) &&
         not_after(inner.data() + inner.size(), outer.data() + outer.size());
}

}  // namespace

Checkpoint Checkpoint::open(const fs::path& folder) {
  std::error_code code;
  if (fs::exists(folder / kSingleFile, code)) {
    std::vector<SafetensorsFile> files;
    files.emplace_back(folder / kSingleFile);
    return Checkpoint(std::move(files));
  }
  if (fs::exists(folder / kIndexFile, code)) {
    return Checkpoint(open_shards(folder, folder / kIndexFile));
  }
  throw no_weights_error(folder);
}

Checkpoint::Checkpoint(std::vector<SafetensorsFile> files) : files_(std::move(files)) {
  for (const SafetensorsFile& file : files_) {
    views_.insert(views_.end(), file.tensors().begin(), file.tensors().end());
  }
  std::sort(views_.begin(), views_.end(),
            [](const TensorView& a, const TensorView& b) { return a.name < b.name; });
  for (const TensorView& view : views_) total_bytes_ += view.bytes.size();
}

const TensorView* Checkpoint::find(std::string_view name) const {
  const auto found = std::lower_bound(
      views_.begin(), views_.end(), name,
      [](const TensorView& view, std::string_view key) { return view.name < key; });
  return found != views_.end() && found->name == name ? &*found : nullptr;
}

const SafetensorsFile& Checkpoint::file_of(const TensorView& view) const {
  for (const SafetensorsFile& file : files_) {
    if (lies_within(view.bytes, file.file().bytes())) return file;
  }
  throw internal_error({.message = "view does not belong to this checkpoint", .where = view.name});
}

void Checkpoint::will_need(const TensorView& view) const {
  file_of(view).file().will_need(view.bytes);
}

void Checkpoint::done_with(const TensorView& view) const {
  file_of(view).file().done_with(view.bytes);
}

void Checkpoint::read_in(const TensorView& view) const { file_of(view).file().read_in(view.bytes); }

namespace {

struct LentRange {
  const MappedFile* file;
  std::span<const std::byte> bytes;
};

// Ranges of one file that touch become one, so that the pages on their border count as inner ones.
std::vector<LentRange> merged(std::vector<LentRange> ranges) {
  std::ranges::sort(ranges, [](const LentRange& a, const LentRange& b) {
    return std::less<const std::byte*>()(a.bytes.data(), b.bytes.data());
  });
  std::vector<LentRange> result;
  for (const LentRange& range : ranges) {
    if (range.bytes.empty()) continue;
    LentRange* last = result.empty() ? nullptr : &result.back();
    if (last != nullptr && last->file == range.file &&
        last->bytes.data() + last->bytes.size() == range.bytes.data()) {
      last->bytes = {last->bytes.data(), last->bytes.size() + range.bytes.size()};
    } else {
      result.push_back(range);
    }
  }
  return result;
}

}  // namespace

std::shared_ptr<const void> Checkpoint::lend(std::span<const TensorView> views) const {
  std::vector<LentRange> ranges;
  for (const TensorView& view : views) ranges.push_back({&file_of(view).file(), view.bytes});
  auto* lent = new std::vector<LentRange>(merged(std::move(ranges)));
  return {lent, [](std::vector<LentRange>* returned) {
            for (const LentRange& range : *returned) range.file->done_with(range.bytes);
            delete returned;
          }};
}

}  // namespace loraproof::io
