// SPDX-License-Identifier: Apache-2.0
// Identity of tensors: what they are, independent of the file, shard and order they were stored in.
// The preimages below are part of the format of reference.json; changing them invalidates every
// recorded reference. The cache is a convenience of one machine, not evidence: whoever can write it
// can lie in it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "loraproof/core/digest.h"
#include "loraproof/core/file.h"
#include "loraproof/io/tensor_view.h"

namespace loraproof::io {

using DigestByName = std::map<std::string, std::string>;

/// SHA-256 over the text "loraproof.tensor/1\n<dtype>\n<shape>\n" followed by the raw little-endian
/// bytes as stored, with dtype as in safetensors ("BF16") and shape as decimal sizes joined by ","
/// ("8,576"; nothing for a scalar). The name is not part of it.
[[nodiscard]] std::string tensor_digest(const TensorView& view);
/// The same of a tensor whose bytes come one piece after another.
class TensorHash {
 public:
  /// `view`: type and shape.
  explicit TensorHash(const TensorView& view);
  void update(std::span<const std::byte> piece) { hash_.update(piece); }
  [[nodiscard]] std::string finish() { return hash_.finish(); }

 private:
  Sha256 hash_;
};

/// The same, taken in pieces of 16 MiB; `passed` is called with the bytes of each piece once it has
/// been read, so that a caller can give its pages back.
[[nodiscard]] std::string tensor_digest(
    const TensorView& view, const std::function<void(std::span<const std::byte>)>& passed);

/// SHA-256 over the text "loraproof.tensors/1\n" followed, in byte order of the names, by
/// "<digest> <length of the name in bytes> <name>\n" for each tensor.
[[nodiscard]] std::string combined_digest(const DigestByName& digest_by_name);

/// SHA-256 of a whole file as it is read now; its pages are given back.
[[nodiscard]] std::string file_digest(const MappedFile& file);

/// What a file was when its digests were taken. The change time catches what the others miss: a
/// file overwritten in place whose size and modification time were put back.
struct DigestStamp {
  FileStamp file;
  std::int64_t ctime_ns = 0;
  friend bool operator==(const DigestStamp&, const DigestStamp&) = default;
};

/// Per-tensor digests of files seen before, in `digests.json` of a cache folder. A cache that is
/// missing, unreadable or damaged is empty (a note is logged), never an error. Not thread-safe.
class DigestCache {
 public:
  /// $LORAPROOF_CACHE, $XDG_CACHE_HOME/loraproof or ~/.cache/loraproof; empty when none is known.
  [[nodiscard]] static std::filesystem::path default_folder();

  /// Loads. An empty folder means no cache: nothing is found, nothing saved.
  explicit DigestCache(std::filesystem::path folder = default_folder());

  /// Taken before the bytes of a file are read, to be handed to store().
  [[nodiscard]] static DigestStamp stamp(const std::filesystem::path& file);

  /// The digests of `file` as it is now, or nothing. A missing file is an input Error.
  [[nodiscard]] std::optional<DigestByName> find(const std::filesystem::path& file) const;

  /// Remembers the digests of `file`, taken after `stamp`. Does nothing when the file has changed
  /// since, or changed so shortly before that a further change could go unseen (two seconds, the
  /// coarsest clock of a file system in use).
  void store(const std::filesystem::path& file, const DigestStamp& stamp,
             const DigestByName& digest_by_name);

  /// Writes the cache with what other runs saved meanwhile, without entries of files that are gone.
  /// Failing to write is a note in the log.
  void save();

 private:
  struct Entry {
    DigestStamp stamp;
    DigestByName digests;
  };
  using Entries = std::map<std::string, Entry>;
  [[nodiscard]] Entries load() const;

  std::filesystem::path folder_;
  Entries entries_;  // by absolute path, links resolved
  Entries added_;    // by this run
};

}  // namespace loraproof::io
