// SPDX-License-Identifier: Apache-2.0
// Maps and profiles as files (docs/drift_profile.md). The same state gives the same bytes, and only
// those bytes are accepted for it.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <variant>

#include "loraproof/drift/profile.h"

namespace loraproof::drift {

inline constexpr int kFormatVersion = 2;

/// Fills in `fingerprint` from the map.
[[nodiscard]] Fingerprint fingerprint_of(const Map& map);

/// The binary form.
[[nodiscard]] std::string to_bytes(const Map& map);
[[nodiscard]] std::string to_bytes(const Profile& profile);

/// One line of text: "loraproof-drift:", the binary form as Base64, a line end.
[[nodiscard]] std::string to_line(std::string_view bytes);

using Stored = std::variant<Map, Profile>;

/// Parses either form. Input Error for anything that to_bytes can't have written: truncated,
/// corrupted (a checksum), a newer version (by number), counts that contradict each other.
[[nodiscard]] Stored parse_stored(std::string_view text);

/// Calls use(profile) for each profile of a file: one in binary form, or any number of lines. At
/// most 1 GiB; no profile at all is an input Error. Errors of `use` get the file's name.
void for_each_profile(const std::filesystem::path& path, const std::function<void(Profile)>& use);
/// The only profile in a file.
[[nodiscard]] Profile read_profile(const std::filesystem::path& path);
/// The map in a map file or in a profile that isn't sealed.
[[nodiscard]] Map read_map(const std::filesystem::path& path);

/// True when the file begins as a profile or a map does (for `drift REF CUR`).
[[nodiscard]] bool looks_stored(std::string_view beginning);

}  // namespace loraproof::drift
