// SPDX-License-Identifier: Apache-2.0
// Bytes as text and hex, and safetensors images from a hand-written header.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace loraproof::test {

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

inline std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

inline std::string to_hex(std::span<const std::byte> bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string hex;
  for (const std::byte byte : bytes) {
    hex += digits[std::to_integer<unsigned>(byte) >> 4];
    hex += digits[std::to_integer<unsigned>(byte) & 15];
  }
  return hex;
}

inline std::string safetensors_image(std::string_view header, std::string_view data = "") {
  std::string image;
  for (int i = 0; i < 8; ++i) image += static_cast<char>((header.size() >> (8 * i)) & 0xFF);
  return image.append(header).append(data);
}

/// One entry of a header: a U8 vector at [begin, end).
inline std::string u8_entry(std::string_view name, std::size_t begin, std::size_t end) {
  // Appended piece by piece: GCC 12 warns falsely (-Wrestrict) about `"text" + std::string`.
  std::string text = "\"";
  text.append(name).append(R"(":{"dtype":"U8","shape":[)").append(std::to_string(end - begin));
  text.append(R"(],"data_offsets":[)").append(std::to_string(begin)).append(",");
  return text.append(std::to_string(end)).append("]}");
}

inline std::string u8_header(std::string_view name, std::size_t bytes) {
  return std::string("{").append(u8_entry(name, 0, bytes)).append("}");
}

}  // namespace loraproof::test
