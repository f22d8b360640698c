// SPDX-License-Identifier: Apache-2.0
#include "loraproof/io/safetensors.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <limits>
#include <tuple>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/core/json.h"

namespace loraproof::io {
namespace {

constexpr std::size_t kLengthBytes = 8;
constexpr std::array kDTypes = {DType::Bool, DType::U8,     DType::I8,     DType::U16,
                                DType::I16,  DType::F16,    DType::BF16,   DType::U32,
                                DType::I32,  DType::F32,    DType::U64,    DType::I64,
                                DType::F64,  DType::F8E4M3, DType::F8E5M2, DType::F8E8M0};

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::uint64_t read_u64_le(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    value |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  }
  return value;
}

// What the file is instead, when its first bytes say so: these are the mix-ups that happen.
std::string foreign_format_hint(std::span<const std::byte> bytes) {
  const std::string_view text = text_of(bytes.first(std::min<std::size_t>(bytes.size(), 64)));
  if (text.starts_with("version https://git-lfs")) {
    return "this is a Git LFS pointer, not the file itself: run `git lfs pull`";
  }
  if (text.starts_with("GGUF")) return "this is a GGUF file";
  if (text.starts_with("PK\x03\x04") || text.starts_with("\x80\x02")) {
    return "this is a PyTorch pickle: load it in a trusted environment and save it as safetensors";
  }
  if (text.starts_with("<!DOCTYPE") || text.starts_with("<html")) {
    return "this is a web page: the download went wrong";
  }
  return "";
}

// Checks the entries of one header against each other and the data that follows it.
class HeaderReader {
 public:
  HeaderReader(std::span<const std::byte> bytes, std::string_view file)
      : bytes_(bytes), file_(file) {}

  SafetensorsHeader read() {
    const std::string_view text = header_text();
    // Three levels: the header, an entry, its shape.
    const Json root =
        parse_json(text, file_, {.max_bytes = kMaxSafetensorsHeaderBytes, .max_depth = 3});
    SafetensorsHeader header;
    header.data_begin = kLengthBytes + text.size();
    data_ = bytes_.subspan(header.data_begin);
    entries_.reserve(root.size());
    for (const auto& [name, value] : root.items()) {
      if (name == "__metadata__") {
        header.metadata = metadata(value);
      } else {
        entries_.push_back(entry(name, value));
      }
    }
    check_layout();
    header.tensors.reserve(entries_.size());
    for (Entry& one : entries_) header.tensors.push_back(std::move(one.view));
    return header;
  }

 private:
  struct Entry {
    TensorView view;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };

  [[nodiscard]] Error error(std::string message, std::string_view tensor, std::string expected,
                            std::string found, std::string hint = "") const {
    return input_error({.id = "safetensors.malformed",
                        .message = std::move(message),
                        .file = std::string(file_),
                        .where = tensor.empty() ? "" : brief(Json(tensor), 200),
                        .expected = std::move(expected),
                        .found = std::move(found),
                        .hint = std::move(hint)});
  }

  std::string_view header_text() const {
    if (bytes_.size() < kLengthBytes) {
      throw error("too short for a safetensors file", "", "at least 8 bytes",
                  fmt::format("{} bytes", bytes_.size()), "the file is incomplete");
    }
    const std::uint64_t length = read_u64_le(bytes_);
    if (length > kMaxSafetensorsHeaderBytes) {
      const std::string hint = foreign_format_hint(bytes_);
      throw error("not a safetensors file: header length out of range", "",
                  fmt::format("at most {} bytes", kMaxSafetensorsHeaderBytes),
                  fmt::format("{}", length), hint.empty() ? "the file is damaged" : hint);
    }
    if (length > bytes_.size() - kLengthBytes) {
      throw error("safetensors header runs past the end of the file", "",
                  fmt::format("at most {} bytes", bytes_.size() - kLengthBytes),
                  fmt::format("a header of {} bytes", length),
                  "the file is truncated: copy or download it again");
    }
    const std::string_view text = text_of(bytes_.subspan(kLengthBytes, length));
    if (!text.starts_with('{')) {
      throw error("safetensors header is not a JSON object", "", "'{' as its first byte",
                  text.empty() ? "an empty header"
                               : fmt::format("byte {:#04x}", static_cast<unsigned char>(text[0])));
    }
    return text;
  }

  std::map<std::string, std::string> metadata(const Json& value) const {
    if (value.is_null()) return {};
    if (!value.is_object()) {
      throw error("bad metadata", "__metadata__", "an object of strings", brief(value));
    }
    std::map<std::string, std::string> result;
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string()) {
        throw error("bad metadata", "__metadata__",
                    fmt::format("a string for key {}", brief(Json(key))), brief(text));
      }
      result.emplace(key, text.get<std::string>());
    }
    return result;
  }

  Entry entry(const std::string& name, const Json& value) const {
    if (name.empty()) throw error("tensor with an empty name", "", "a name", "\"\"");
    if (!value.is_object()) {
      throw error("bad tensor entry", name, "an object with dtype, shape, data_offsets",
                  brief(value));
    }
    for (const auto& [key, ignored] : value.items()) {
      if (key != "dtype" && key != "shape" && key != "data_offsets") {
        throw error("unknown key in a tensor entry", name, "dtype, shape, data_offsets",
                    brief(Json(key)));
      }
    }
    Entry result;
    result.view.name = name;
    result.view.dtype = dtype(name, required(name, value, "dtype"));
    result.view.shape = shape(name, required(name, value, "shape"));
    std::tie(result.begin, result.end) = offsets(name, required(name, value, "data_offsets"));
    const auto bytes = byte_count(result.view.dtype, result.view.shape);
    if (!bytes) {
      throw error("tensor size overflows", name, "less than 2^63 bytes",
                  shape_text(result.view.shape));
    }
    if (*bytes != result.end - result.begin) {
      throw error("tensor bytes do not match its type and shape", name,
                  fmt::format("{} bytes for {} {}", *bytes, name_of(result.view.dtype),
                              shape_text(result.view.shape)),
                  fmt::format("{} bytes", result.end - result.begin));
    }
    result.view.bytes = data_.subspan(result.begin, result.end - result.begin);
    return result;
  }

  const Json& required(const std::string& name, const Json& value, const char* key) const {
    const auto found = value.find(key);
    if (found == value.end()) {
      throw error("incomplete tensor entry", name, fmt::format("key \"{}\"", key), brief(value));
    }
    return *found;
  }

  DType dtype(const std::string& name, const Json& value) const {
    if (!value.is_string()) throw error("bad dtype", name, "a string", brief(value));
    const auto known = dtype_from_name(value.get_ref<const std::string&>());
    if (known) return *known;
    std::string names;
    for (const DType one : kDTypes)
      names += fmt::format("{}{}", names.empty() ? "" : ", ", name_of(one));
    throw error("unsupported dtype", name, "one of " + names, brief(value),
                "convert the tensor to a supported type");
  }

  std::vector<std::int64_t> shape(const std::string& name, const Json& value) const {
    if (!value.is_array()) throw error("bad shape", name, "an array of sizes", brief(value));
    if (value.size() > kMaxTensorRank) {
      throw error("too many dimensions", name, fmt::format("at most {}", kMaxTensorRank),
                  fmt::format("{}", value.size()));
    }
    std::vector<std::int64_t> result;
    for (const Json& size : value) {
      if (!size.is_number_unsigned() ||
          size.get<std::uint64_t>() > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
        throw error("bad size in a shape", name, "a whole number from 0 to 2^63-1", brief(size));
      }
      result.push_back(size.get<std::int64_t>());
    }
    return result;
  }

  std::pair<std::uint64_t, std::uint64_t> offsets(const std::string& name,
                                                  const Json& value) const {
    if (!value.is_array() || value.size() != 2 || !value[0].is_number_unsigned() ||
        !value[1].is_number_unsigned()) {
      throw error("bad data_offsets", name, "two whole numbers, begin and end", brief(value));
    }
    const auto begin = value[0].get<std::uint64_t>();
    const auto end = value[1].get<std::uint64_t>();
    if (begin > end) throw error("bad data_offsets", name, "begin <= end", brief(value));
    if (end > data_.size()) {
      throw error("tensor runs past the end of the file", name,
                  fmt::format("at most {} bytes of data", data_.size()),
                  fmt::format("an end at {}", end),
                  "the file is truncated: copy or download it again");
    }
    return {begin, end};
  }

  // Sorts by place and checks that the tensors cover the data exactly: no hole can hide bytes, no
  // byte belongs to two tensors.
  void check_layout() {
    std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
      return std::tie(a.begin, a.end, a.view.name) < std::tie(b.begin, b.end, b.view.name);
    });
    std::uint64_t covered = 0;
    for (const Entry& one : entries_) {
      if (one.begin != covered) {
        throw error(one.begin < covered ? "tensors overlap" : "hole before the tensor",
                    one.view.name, fmt::format("data that begins at {}", covered),
                    fmt::format("{}", one.begin));
      }
      covered = one.end;
    }
    if (covered != data_.size()) {
      throw error("bytes after the last tensor", "", fmt::format("{} bytes of data", covered),
                  fmt::format("{}", data_.size()), "the file was appended to or damaged");
    }
  }

  std::span<const std::byte> bytes_;
  std::span<const std::byte> data_;
  std::string_view file_;
  std::vector<Entry> entries_;
};

}  // namespace

std::optional<DType> dtype_from_name(std::string_view name) {
  const auto found = std::find_if(kDTypes.begin(), kDTypes.end(),
                                  [&](DType dtype) { return name_of(dtype) == name; });
  if (found == kDTypes.end()) return std::nullopt;
  return *found;
}

std::optional<std::uint64_t> byte_count(DType dtype, std::span<const std::int64_t> shape) {
  std::int64_t count = static_cast<std::int64_t>(size_of(dtype));
  for (const std::int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(count, size, &count)) return std::nullopt;
  }
  return static_cast<std::uint64_t>(count);
}

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> bytes,
                                           std::string_view file) {
  return HeaderReader(bytes, file).read();
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : file_(path), header_(parse_safetensors_header(file_.bytes(), path.string())) {
  for (std::size_t i = 0; i < header_.tensors.size(); ++i) {
    index_by_name_.emplace(header_.tensors[i].name, i);
  }
}

const TensorView* SafetensorsFile::find(std::string_view name) const {
  const auto found = index_by_name_.find(name);
  return found == index_by_name_.end() ? nullptr : &header_.tensors[found->second];
}

}  // namespace loraproof::io
