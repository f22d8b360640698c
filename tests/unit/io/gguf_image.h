// SPDX-License-Identifier: Apache-2.0
// GGUF images byte by byte, right or wrong as a test needs them.
#pragma once

#include <bit>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace loraproof::test {

class GgufImage {
 public:
  std::uint32_t version = 3;
  std::uint64_t alignment = 32;

  GgufImage& text(std::string_view key, std::string_view value) {
    return entry(key, 8, string(value));
  }
  GgufImage& u32(std::string_view key, std::uint32_t value) { return entry(key, 4, number(value)); }
  GgufImage& f32(std::string_view key, float value) {
    return entry(key, 6, number(std::bit_cast<std::uint32_t>(value)));
  }
  GgufImage& texts(std::string_view key, std::initializer_list<std::string_view> values) {
    std::string bytes = number(std::uint32_t{8}) + number(std::uint64_t{values.size()});
    for (const std::string_view value : values) bytes += string(value);
    return entry(key, 9, bytes);
  }
  /// `bytes` follow the key and the type.
  GgufImage& entry(std::string_view key, std::uint32_t type, const std::string& bytes) {
    values_ += string(key) + number(type) + bytes;
    ++value_count_;
    return *this;
  }
  /// `shape` outermost first, as torch has it.
  GgufImage& tensor(std::string_view name, std::uint32_t type, std::vector<std::uint64_t> shape,
                    std::string_view bytes) {
    data_.resize((data_.size() + alignment - 1) / alignment * alignment);
    return raw_tensor(name, type, std::move(shape), data_.size(), bytes);
  }
  GgufImage& raw_tensor(std::string_view name, std::uint32_t type, std::vector<std::uint64_t> shape,
                        std::uint64_t offset, std::string_view bytes) {
    tensors_ += string(name) + number(static_cast<std::uint32_t>(shape.size()));
    for (std::size_t i = shape.size(); i > 0; --i) tensors_ += number(shape[i - 1]);
    tensors_ += number(type) + number(offset);
    data_ += bytes;
    ++tensor_count_;
    return *this;
  }

  [[nodiscard]] std::string image() const {
    std::string out = "GGUF" + number(version) + number(tensor_count_) + number(value_count_);
    out += values_ + tensors_;
    out.resize((out.size() + alignment - 1) / alignment * alignment);
    return out + data_;
  }

  template <typename Number>
  static std::string number(Number value) {
    std::string bytes;
    for (std::size_t i = 0; i < sizeof value; ++i) {
      bytes += static_cast<char>((value >> (8 * i)) & 0xff);
    }
    return bytes;
  }
  static std::string string(std::string_view text) {
    std::string bytes = number(std::uint64_t{text.size()});
    return bytes.append(text);
  }
  static std::string floats(std::initializer_list<float> values) {
    std::string bytes;
    for (const float value : values) bytes += number(std::bit_cast<std::uint32_t>(value));
    return bytes;
  }

 private:
  std::string values_, tensors_, data_;
  std::uint64_t value_count_ = 0, tensor_count_ = 0;
};

}  // namespace loraproof::test
