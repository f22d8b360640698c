// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/wire.h"

#include <array>
#include <fmt/format.h>

namespace loraproof::drift {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::int8_t, 256> values_of_base64() {
  std::array<std::int8_t, 256> values{};
  for (std::int8_t& value : values) value = -1;
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}
constexpr auto kValues = values_of_base64();

}  // namespace

void WireWriter::number(Unsigned128 value) {
  for (; value >= 0x80; value >>= 7)
    out_ += static_cast<char>(0x80 | static_cast<int>(value & 0x7F));
  out_ += static_cast<char>(value);
}

void WireWriter::integer(Int128 value) {
  const auto bits = static_cast<Unsigned128>(value);
  number(value < 0 ? ~(bits << 1) : bits << 1);
}

void WireWriter::text(std::string_view value) {
  number(value.size());
  out_.append(value);
}

void WireWriter::word(std::uint64_t value) {
  for (int i = 0; i < 8; ++i) out_ += static_cast<char>((value >> (8 * i)) & 0xFF);
}

Error WireReader::wrong(std::string_view what, std::string_view found) const {
  return input_error({.message = fmt::format("the profile is damaged: {}", what),
                      .where = fmt::format("byte {}", at_),
                      .found = std::string(found),
                      .hint = "make it again"});
}

Unsigned128 WireReader::number() {
  Unsigned128 value = 0;
  for (int shift = 0; at_ < bytes_.size(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes_[at_++]);
    const Unsigned128 part = byte & 0x7F;
    if (shift > 126 || (shift == 126 && part > 3)) throw wrong("number", "more than 128 bits");
    value |= part << shift;
    if (byte < 0x80) {
      if (byte == 0 && shift > 0) throw wrong("number", "a longer spelling than needed");
      return value;
    }
  }
  throw wrong("number", "the end of the data");
}

std::int64_t WireReader::count(std::string_view what, std::int64_t most) {
  const Unsigned128 value = number();
  if (value > static_cast<Unsigned128>(most)) throw wrong(what, fmt::format("more than {}", most));
  return static_cast<std::int64_t>(value);
}

std::size_t WireReader::items(std::string_view what, std::size_t item_bytes) {
  const Unsigned128 value = number();
  const std::size_t left = bytes_.size() - at_;
  if (value > left / item_bytes) throw wrong(what, "more items than there are bytes");
  return static_cast<std::size_t>(value);
}

Int128 WireReader::integer() {
  const Unsigned128 bits = number();
  const Unsigned128 half = bits >> 1;
  return static_cast<Int128>((bits & 1) != 0 ? ~half : half);
}

std::string WireReader::text(std::string_view what) {
  const std::size_t size = items(what);
  std::string value(bytes_.substr(at_, size));
  at_ += size;
  return value;
}

std::uint64_t WireReader::word() {
  if (bytes_.size() - at_ < 8) throw wrong("word", "the end of the data");
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) {
    value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes_[at_++])) << (8 * i);
  }
  return value;
}

std::string to_base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::string_view group = bytes.substr(at, 3);
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      bits = bits << 8 | (i < group.size() ? static_cast<unsigned char>(group[i]) : 0U);
    }
    for (std::size_t i = 0; i < 4; ++i) {
      out += i <= group.size() ? kAlphabet[(bits >> (18 - 6 * i)) & 63] : '=';
    }
  }
  return out;
}

bool from_base64(std::string_view text, std::string& out) {
  if (text.size() % 4 != 0) return false;
  out.clear();
  out.reserve(text.size() / 4 * 3);
  for (std::size_t at = 0; at < text.size(); at += 4) {
    std::size_t padding = 0;
    if (at + 4 == text.size()) padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const int value = i < 4 - padding ? kValues[static_cast<unsigned char>(text[at + i])] : 0;
      if (value < 0) return false;
      bits = bits << 6 | static_cast<std::uint32_t>(value);
    }
    if ((bits & ((1U << (8 * padding)) - 1)) != 0) return false;
    for (std::size_t i = 0; i < 3 - padding; ++i) {
      out += static_cast<char>((bits >> (16 - 8 * i)) & 0xFF);
    }
  }
  return true;
}

}  // namespace loraproof::drift
