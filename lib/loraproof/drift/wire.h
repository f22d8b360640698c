// SPDX-License-Identifier: Apache-2.0
// The elements of the profile format: numbers as LEB128, signed ones in zigzag order, texts with
// their length. The reader believes nothing: every count is checked against the bytes that are
// left.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "loraproof/core/error.h"
#include "loraproof/drift/profile.h"

namespace loraproof::drift {

__extension__ typedef unsigned __int128 Unsigned128;

class WireWriter {
 public:
  void number(Unsigned128 value);
  void count(std::int64_t value) { number(static_cast<std::uint64_t>(value)); }  ///< >= 0
  void integer(Int128 value);
  void text(std::string_view value);
  void raw(std::string_view bytes) { out_.append(bytes); }
  void word(std::uint64_t value);  ///< eight bytes, little-endian
  [[nodiscard]] const std::string& bytes() const { return out_; }
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

/// Throws an input Error (where = "byte N") for whatever the writer can't have written.
class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : bytes_(bytes) {}

  [[nodiscard]] Unsigned128 number();
  /// At most `most`; `what` names it in the error.
  [[nodiscard]] std::int64_t count(std::string_view what, std::int64_t most);
  /// A number of items of at least `item_bytes` bytes each that are still to come.
  [[nodiscard]] std::size_t items(std::string_view what, std::size_t item_bytes = 1);
  [[nodiscard]] Int128 integer();
  [[nodiscard]] std::string text(std::string_view what);
  [[nodiscard]] std::uint64_t word();
  [[nodiscard]] std::size_t position() const { return at_; }
  [[nodiscard]] bool at_end() const { return at_ == bytes_.size(); }

  [[nodiscard]] Error wrong(std::string_view what, std::string_view found) const;

 private:
  std::string_view bytes_;
  std::size_t at_ = 0;
};

/// Base64 of RFC 4648 with padding; decoding is strict (false: not base64, or not the one
/// spelling).
[[nodiscard]] std::string to_base64(std::string_view bytes);
[[nodiscard]] bool from_base64(std::string_view text, std::string& out);

}  // namespace loraproof::drift
