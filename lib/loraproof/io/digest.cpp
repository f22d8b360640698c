// SPDX-License-Identifier: Apache-2.0
#include "loraproof/io/digest.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <string_view>
#include <sys/stat.h>
#include <utility>

#include "loraproof/core/digest.h"
#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "loraproof/core/log.h"

namespace loraproof::io {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSchema = "loraproof.digests/1";
constexpr std::string_view kFileName = "digests.json";
constexpr std::size_t kPieceBytes = std::size_t{16} << 20;
constexpr std::int64_t kClockDoubtNs = 2'000'000'000;

std::string cache_key(const fs::path& file) {
  std::error_code code;
  const fs::path resolved = fs::canonical(file, code);
  return (code ? fs::absolute(file) : resolved).string();
}

bool is_digest(std::string_view text) {
  constexpr std::string_view prefix = "sha256:";
  if (!text.starts_with(prefix) || text.size() != prefix.size() + 64) return false;
  text.remove_prefix(prefix.size());
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Json stamp_json(const DigestStamp& stamp) {
  return {{"size", stamp.file.size_bytes},
          {"mtime_ns", stamp.file.mtime_ns},
          {"ctime_ns", stamp.ctime_ns},
          {"inode", stamp.file.inode},
          {"device", stamp.file.device}};
}

template <typename Number>
Number number(const JsonObject& object, std::string_view key) {
  const Json* value = object.find(key);
  if (value == nullptr || !value->is_number_integer())
    throw object.error(key, "not a whole number");
  return value->get<Number>();
}

DigestStamp stamp_from(const JsonObject& object) {
  return {.file = {.size_bytes = number<std::uint64_t>(object, "size"),
                   .mtime_ns = number<std::int64_t>(object, "mtime_ns"),
                   .inode = number<std::uint64_t>(object, "inode"),
                   .device = number<std::uint64_t>(object, "device")},
          .ctime_ns = number<std::int64_t>(object, "ctime_ns")};
}

DigestByName digests_from(const JsonObject& object) {
  DigestByName digests;
  for (const auto& [name, value] : object.json().items()) {
    if (!value.is_string() || !is_digest(value.get_ref<const std::string&>())) {
      throw object.error(name, "not a digest");
    }
    digests.emplace(name, value.get<std::string>());
  }
  return digests;
}

std::int64_t wall_clock_ns() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

}  // namespace

TensorHash::TensorHash(const TensorView& view) {
  hash_.update(
      fmt::format("loraproof.tensor/1\n{}\n{}\n", name_of(view.dtype), fmt::join(view.shape, ",")));
}

std::string tensor_digest(const TensorView& view) { return tensor_digest(view, nullptr); }

std::string tensor_digest(const TensorView& view,
                          const std::function<void(std::span<const std::byte>)>& passed) {
  TensorHash hash(view);
  for (std::size_t begin = 0; begin < view.bytes.size(); begin += kPieceBytes) {
    const auto piece = view.bytes.subspan(begin, std::min(kPieceBytes, view.bytes.size() - begin));
    hash.update(piece);
    if (passed) passed(piece);
  }
  return hash.finish();
}

std::string combined_digest(const DigestByName& digest_by_name) {
  Sha256 hash;
  hash.update("loraproof.tensors/1\n");
  for (const auto& [name, digest] : digest_by_name) {
    hash.update(fmt::format("{} {} {}\n", digest, name.size(), name));
  }
  return hash.finish();
}

std::string file_digest(const MappedFile& file) {
  Sha256 hash;
  for (std::span<const std::byte> rest = file.bytes(); !rest.empty();) {
    const auto piece = rest.first(std::min(kPieceBytes, rest.size()));
    file.read_in(piece);
    hash.update(piece);
    file.done_with(piece);
    rest = rest.subspan(piece.size());
  }
  return hash.finish();
}

fs::path DigestCache::default_folder() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return fs::path(value == nullptr ? "" : value);
  };
  if (const fs::path folder = variable("LORAPROOF_CACHE"); !folder.empty()) return folder;
  if (const fs::path folder = variable("XDG_CACHE_HOME"); !folder.empty()) {
    return folder / "loraproof";
  }
  const fs::path home = variable("HOME");
  return home.empty() ? fs::path() : home / ".cache" / "loraproof";
}

DigestCache::DigestCache(fs::path folder) : folder_(std::move(folder)) { entries_ = load(); }

DigestStamp DigestCache::stamp(const fs::path& file) {
  struct stat status {};
  DigestStamp result{.file = stamp_of(file)};  // throws when the file is missing
  if (::stat(file.c_str(), &status) == 0) {
    result.ctime_ns = status.st_ctim.tv_sec * std::int64_t{1'000'000'000} + status.st_ctim.tv_nsec;
  }
  return result;
}

DigestCache::Entries DigestCache::load() const {
  const fs::path path = folder_ / kFileName;
  std::error_code code;
  if (folder_.empty() || !fs::exists(path, code)) return {};
  try {
    const Json document = read_json_file(path, {.max_depth = 8});
    const JsonObject root(document, path.string());
    if (root.string("schema") != kSchema) throw root.error("schema", "unknown schema");
    const JsonObject files = root.object("files");
    Entries entries;
    for (const auto& [key, ignored] : files.json().items()) {
      const JsonObject entry = files.object(key);
      entries.emplace(
          key, Entry{stamp_from(entry.object("stamp")), digests_from(entry.object("digests"))});
    }
    return entries;
  } catch (const Error& error) {
    log::note(fmt::format("the digest cache is ignored: {}", error.what()));
    return {};
  }
}

std::optional<DigestByName> DigestCache::find(const fs::path& file) const {
  const DigestStamp now = stamp(file);
  const std::string key = cache_key(file);
  for (const Entries* entries : {&added_, &entries_}) {
    const auto found = entries->find(key);
    if (found != entries->end() && found->second.stamp == now) return found->second.digests;
  }
  return std::nullopt;
}

void DigestCache::store(const fs::path& file, const DigestStamp& stamp_before,
                        const DigestByName& digest_by_name) {
  if (folder_.empty() || stamp(file) != stamp_before) return;
  if (wall_clock_ns() - stamp_before.ctime_ns < kClockDoubtNs) return;
  added_[cache_key(file)] = {stamp_before, digest_by_name};
}

void DigestCache::save() {
  if (folder_.empty() || added_.empty()) return;
  entries_ = load();
  for (auto& [key, entry] : added_) entries_[key] = std::move(entry);
  added_.clear();
  std::error_code code;
  std::erase_if(entries_, [&](const auto& item) { return !fs::exists(item.first, code); });
  Json files = Json::object();
  for (const auto& [key, entry] : entries_) {
    files[key] = {{"stamp", stamp_json(entry.stamp)}, {"digests", entry.digests}};
  }
  try {
    fs::create_directories(folder_, code);
    const Json document = {{"schema", kSchema}, {"files", std::move(files)}};
    // A path that is not UTF-8 would make dump() throw; replaced, its entry is merely never found.
    write_file_atomically(folder_ / kFileName,
                          document.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
  } catch (const Error& error) {
    log::note(fmt::format("the digest cache is not saved: {}", error.what()));
  }
}

}  // namespace loraproof::io
