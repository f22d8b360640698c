// SPDX-License-Identifier: Apache-2.0
#include "loraproof/io/gguf.h"

#include <algorithm>
#include <array>
#include <bit>
#include <fmt/format.h>
#include <limits>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "loraproof/io/tensor_view.h"

namespace loraproof::io {
namespace {

constexpr std::uint64_t kMaxKeyBytes = 65535;     // docs/gguf.md
constexpr std::uint64_t kMaxNameBytes = 1024;     // ggml itself stops at 64
constexpr std::uint32_t kMaxRank = 4;             // GGML_MAX_DIMS
constexpr std::uint64_t kMaxAlignment = 1 << 20;  // 32 in practice
// The least bytes of an entry: a value is key length, one byte of key, type, one byte; a tensor is
// name length, one byte of name, rank, one size, type, offset.
constexpr std::uint64_t kMinValueBytes = 8 + 1 + 4 + 1;
constexpr std::uint64_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;

template <typename Number>
Number little_endian(const std::byte* at) {
  Number value = 0;
  for (std::size_t i = 0; i < sizeof value; ++i) {
    value = static_cast<Number>(value | (std::to_integer<Number>(at[i]) << (8 * i)));
  }
  return value;
}

// Bytes of one element; 0 for strings and arrays, nothing for a number that is no type.
std::optional<std::uint64_t> element_bytes(GgufType type) {
  switch (type) {
    case GgufType::U8:
    case GgufType::I8:
    case GgufType::Bool: return 1;
    case GgufType::U16:
    case GgufType::I16: return 2;
    case GgufType::U32:
    case GgufType::I32:
    case GgufType::F32: return 4;
    case GgufType::U64:
    case GgufType::I64:
    case GgufType::F64: return 8;
    case GgufType::String:
    case GgufType::Array: return 0;
  }
  return std::nullopt;
}

std::optional<std::int64_t> whole_number(GgufType type, const std::byte* at) {
  switch (type) {
    case GgufType::U8:
    case GgufType::Bool: return little_endian<std::uint8_t>(at);
    case GgufType::I8: return static_cast<std::int8_t>(little_endian<std::uint8_t>(at));
    case GgufType::U16: return little_endian<std::uint16_t>(at);
    case GgufType::I16: return static_cast<std::int16_t>(little_endian<std::uint16_t>(at));
    case GgufType::U32: return little_endian<std::uint32_t>(at);
    case GgufType::I32: return static_cast<std::int32_t>(little_endian<std::uint32_t>(at));
    case GgufType::I64: return static_cast<std::int64_t>(little_endian<std::uint64_t>(at));
    case GgufType::U64: {
      const auto value = little_endian<std::uint64_t>(at);
      if (value > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) return std::nullopt;
      return static_cast<std::int64_t>(value);
    }
    default: return std::nullopt;
  }
}

std::string_view text_at(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Reads one file image from front to back.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, std::string_view file) : bytes_(bytes), file_(file) {}

  GgufHeader read() {
    GgufHeader header;
    header.version = version();
    const std::uint64_t tensors = count("tensors", kMinTensorBytes);
    const std::uint64_t values = count("values", kMinValueBytes);
    for (std::uint64_t i = 0; i < values; ++i) read_value(header);
    header.alignment = alignment(header);
    header.tensors.reserve(tensors);
    std::vector<std::uint64_t> offsets;
    for (std::uint64_t i = 0; i < tensors; ++i) {
      header.tensors.push_back(tensor_entry(offsets.emplace_back()));
    }
    place(header, offsets);
    return header;
  }

 private:
  [[nodiscard]] Error error(std::string message, std::string where, std::string expected,
                            std::string found, std::string hint = "") const {
    return input_error({.id = "gguf.malformed",
                        .message = std::move(message),
                        .file = std::string(file_),
                        .where = std::move(where),
                        .expected = std::move(expected),
                        .found = std::move(found),
                        .hint = std::move(hint)});
  }
  static std::string quoted(std::string_view name) { return brief(Json(name), 200); }

  [[nodiscard]] std::uint64_t left() const { return bytes_.size() - at_; }

  std::span<const std::byte> take(std::uint64_t size, const std::string& where) {
    if (size > left()) {
      throw error("GGUF file ends too early", where, fmt::format("{} bytes", size),
                  fmt::format("{} bytes before the end", left()),
                  "the file is truncated: copy or download it again");
    }
    const auto taken = bytes_.subspan(at_, size);
    at_ += size;
    return taken;
  }
  template <typename Number>
  Number number(const std::string& where) {
    return little_endian<Number>(take(sizeof(Number), where).data());
  }

  std::uint32_t version() {
    if (bytes_.size() < 4 || text_at(bytes_.first(4)) != "GGUF") {
      std::string found = "an empty file";
      if (!bytes_.empty()) {
        found = quoted(text_at(bytes_.first(std::min<std::size_t>(bytes_.size(), 4))));
      }
      throw error("not a GGUF file", "", "the bytes \"GGUF\" at its start", found,
                  "copy or download the file again; a model folder is passed without .gguf");
    }
    at_ = 4;
    const auto version = number<std::uint32_t>("version");
    if (version == 2 || version == 3) return version;
    const bool swapped = version != 0 && (version & 0xffffu) == 0;
    throw error("GGUF version is not supported", "version", "2 or 3",
                swapped ? "a big-endian file" : fmt::format("{}", version),
                swapped ? "convert it with gguf_convert_endian.py of llama.cpp"
                        : "convert the model again with a current llama.cpp");
  }

  std::uint64_t count(const char* what, std::uint64_t least_bytes) {
    const auto count = number<std::uint64_t>(fmt::format("number of {}", what));
    if (count > left() / least_bytes) {
      throw error(fmt::format("more {} than the file can hold", what), "",
                  fmt::format("at most {}", left() / least_bytes), fmt::format("{}", count),
                  "the file is damaged or truncated");
    }
    return count;
  }

  std::string_view string(const std::string& where, std::uint64_t max_bytes) {
    const auto size = number<std::uint64_t>(where);
    if (size > max_bytes) {
      throw error("text is too long", where, fmt::format("at most {} bytes", max_bytes),
                  fmt::format("{}", size), "the file is damaged");
    }
    return text_at(take(size, where));
  }

  GgufType type(const std::string& where) {
    const auto raw = number<std::uint32_t>(where);
    const auto type = static_cast<GgufType>(raw);
    if (!element_bytes(type)) {
      throw error("unknown type of a GGUF value", where, "0 to 12", fmt::format("{}", raw));
    }
    return type;
  }

  void read_value(GgufHeader& header) {
    const std::string_view key = string("key of a value", kMaxKeyBytes);
    const std::string where = quoted(key);
    if (key.empty()) throw error("GGUF value without a key", "", "a key", "\"\"");
    GgufValue value;
    value.type = value.element = type(where);
    if (value.type == GgufType::Array) {
      value.element = type(where);
      if (value.element == GgufType::Array) {
        throw error("array of arrays", where, "an array of numbers or strings", "array");
      }
      value.count = number<std::uint64_t>(where);
    }
    value.bytes = elements(value, where);
    if (!header.metadata.emplace(key, value).second) {
      throw error("key stands twice in the GGUF file", where, "one value", "two");
    }
  }

  std::span<const std::byte> elements(const GgufValue& value, const std::string& where) {
    const std::uint64_t size = *element_bytes(value.element);
    // A string is at least its length of eight bytes.
    const std::uint64_t least = size == 0 ? 8 : size;
    if (value.count > left() / least) {
      throw error("array runs past the end of the file", where,
                  fmt::format("at most {} elements", left() / least),
                  fmt::format("{}", value.count), "the file is truncated");
    }
    if (size != 0) return take(value.count * size, where);
    const std::uint64_t begin = at_;
    for (std::uint64_t i = 0; i < value.count; ++i) {
      (void)string(where, std::numeric_limits<std::uint64_t>::max());
    }
    return bytes_.subspan(begin, at_ - begin);
  }

  std::uint64_t alignment(const GgufHeader& header) const {
    const auto found = header.metadata.find("general.alignment");
    if (found == header.metadata.end()) return 32;
    const auto value = found->second.integer();
    if (!value || *value <= 0 || *value > static_cast<std::int64_t>(kMaxAlignment) ||
        !std::has_single_bit(static_cast<std::uint64_t>(*value))) {
      throw error("bad alignment", "general.alignment",
                  fmt::format("a power of two up to {}", kMaxAlignment),
                  value ? fmt::format("{}", *value) : std::string(name_of(found->second.type)));
    }
    return static_cast<std::uint64_t>(*value);
  }

  GgufTensor tensor_entry(std::uint64_t& offset) {
    GgufTensor tensor;
    tensor.name = string("name of a tensor", kMaxNameBytes);
    const std::string where = quoted(tensor.name);
    if (tensor.name.empty()) throw error("tensor with an empty name", "", "a name", "\"\"");
    const auto rank = number<std::uint32_t>(where);
    if (rank < 1 || rank > kMaxRank) {
      throw error("bad number of dimensions", where, fmt::format("1 to {}", kMaxRank),
                  fmt::format("{}", rank));
    }
    for (std::uint32_t i = 0; i < rank; ++i) {
      const auto size = number<std::uint64_t>(where);
      if (size < 1 || size > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
        throw error("bad size in a shape", where, "a whole number from 1 to 2^63-1",
                    fmt::format("{}", size));
      }
      tensor.shape.push_back(static_cast<std::int64_t>(size));
    }
    std::ranges::reverse(tensor.shape);
    const auto type = number<std::uint32_t>(where);
    tensor.type = find_ggml_type(type);
    if (tensor.type == nullptr) {
      throw error("unknown type of a tensor", where, "a type of ggml: " + decodable_ggml_types(),
                  fmt::format("type {}", type), "was it written by a fork of llama.cpp?");
    }
    offset = number<std::uint64_t>(where);
    return tensor;
  }

  // Bytes of a tensor; checks that rows are whole blocks and that nothing overflows.
  std::uint64_t byte_size(const GgufTensor& tensor) const {
    const std::int64_t block = tensor.type->block_values;
    if (tensor.shape.back() % block != 0) {
      throw error("row is not a whole number of blocks", quoted(tensor.name),
                  fmt::format("a multiple of {} for {}", block, tensor.type->name),
                  shape_text(tensor.shape));
    }
    std::int64_t bytes = tensor.type->block_bytes;
    bool overflow = false;
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
      const bool last = i + 1 == tensor.shape.size();
      const std::int64_t size = last ? tensor.shape[i] / block : tensor.shape[i];
      overflow = overflow || __builtin_mul_overflow(bytes, size, &bytes);
    }
    if (overflow || bytes > std::numeric_limits<std::int64_t>::max() / 16) {
      throw error("tensor size overflows", quoted(tensor.name), "less than 2^59 bytes",
                  shape_text(tensor.shape));
    }
    return static_cast<std::uint64_t>(bytes);
  }

  // Gives each tensor its bytes: inside the data, aligned, no byte in two tensors.
  void place(GgufHeader& header, const std::vector<std::uint64_t>& offsets) const {
    const std::uint64_t mask = header.alignment - 1;
    const std::uint64_t begin = (at_ + mask) & ~mask;
    const std::uint64_t data = begin > bytes_.size() ? 0 : bytes_.size() - begin;
    std::vector<std::pair<std::uint64_t, std::size_t>> order;
    for (std::size_t i = 0; i < offsets.size(); ++i) {
      GgufTensor& tensor = header.tensors[i];
      const std::uint64_t size = byte_size(tensor);
      if ((offsets[i] & mask) != 0) {
        throw error("tensor is not aligned", quoted(tensor.name),
                    fmt::format("an offset divisible by {}", header.alignment),
                    fmt::format("{}", offsets[i]));
      }
      if (offsets[i] > data || size > data - offsets[i]) {
        throw error("tensor runs past the end of the file", quoted(tensor.name),
                    fmt::format("{} bytes at {} of the data", size, offsets[i]),
                    fmt::format("{} bytes of data", data),
                    "the file is truncated: copy or download it again");
      }
      tensor.bytes = bytes_.subspan(begin + offsets[i], size);
      order.emplace_back(offsets[i], i);
    }
    check_apart(header, order);
  }

  void check_apart(const GgufHeader& header,
                   std::vector<std::pair<std::uint64_t, std::size_t>>& order) const {
    std::ranges::sort(order);
    for (std::size_t i = 1; i < order.size(); ++i) {
      const GgufTensor& before = header.tensors[order[i - 1].second];
      if (order[i].first < order[i - 1].first + before.bytes.size()) {
        throw error("tensors overlap", quoted(header.tensors[order[i].second].name),
                    fmt::format("bytes after those of {}", quoted(before.name)),
                    fmt::format("an offset of {}", order[i].first));
      }
    }
    std::vector<std::string_view> names;
    for (const GgufTensor& tensor : header.tensors) names.push_back(tensor.name);
    std::ranges::sort(names);
    const auto twice = std::ranges::adjacent_find(names);
    if (twice != names.end()) {
      throw error("two tensors have one name", quoted(*twice), "one tensor", "two");
    }
  }

  std::span<const std::byte> bytes_;
  std::string_view file_;
  std::uint64_t at_ = 0;
};

}  // namespace

std::string_view name_of(GgufType type) {
  constexpr std::array<std::string_view, 13> kNames = {
      "uint8",   "int8",   "uint16", "int16",  "uint32", "int32",  "float32",
      "boolean", "string", "array",  "uint64", "int64",  "float64"};
  const auto index = static_cast<std::size_t>(type);
  return index < kNames.size() ? kNames[index] : "unknown";
}

std::optional<std::int64_t> GgufValue::integer() const {
  if (type == GgufType::Bool || type == GgufType::Array) return std::nullopt;
  return whole_number(type, bytes.data());
}

std::optional<double> GgufValue::number() const {
  if (type == GgufType::F32)
    return std::bit_cast<float>(little_endian<std::uint32_t>(bytes.data()));
  if (type == GgufType::F64)
    return std::bit_cast<double>(little_endian<std::uint64_t>(bytes.data()));
  const auto whole = integer();
  return whole ? std::optional(static_cast<double>(*whole)) : std::nullopt;
}

std::optional<bool> GgufValue::boolean() const {
  if (type != GgufType::Bool) return std::nullopt;
  return bytes[0] != std::byte{0};
}

std::optional<std::string_view> GgufValue::text() const {
  if (type != GgufType::String) return std::nullopt;
  return text_at(bytes.subspan(8));
}

std::optional<std::vector<std::string_view>> GgufValue::texts() const {
  if (type != GgufType::Array || element != GgufType::String) return std::nullopt;
  std::vector<std::string_view> result;
  result.reserve(count);
  for (std::size_t at = 0; at < bytes.size();) {
    const auto size = little_endian<std::uint64_t>(bytes.data() + at);
    result.push_back(text_at(bytes.subspan(at + 8, size)));
    at += 8 + size;
  }
  return result;
}

std::optional<std::vector<std::int64_t>> GgufValue::integers() const {
  const auto size = element_bytes(element);
  if (type != GgufType::Array || !size || *size == 0) return std::nullopt;
  std::vector<std::int64_t> result;
  result.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto value = whole_number(element, bytes.data() + i * *size);
    if (!value) return std::nullopt;
    result.push_back(*value);
  }
  return result;
}

GgufHeader parse_gguf(std::span<const std::byte> bytes, std::string_view file) {
  return Reader(bytes, file).read();
}

GgufFile::GgufFile(const std::filesystem::path& path)
    : file_(path), header_(parse_gguf(file_.bytes(), path.string())) {
  for (std::size_t i = 0; i < header_.tensors.size(); ++i) {
    index_by_name_.emplace(header_.tensors[i].name, i);
  }
}

const GgufValue* GgufFile::value(std::string_view key) const {
  const auto found = header_.metadata.find(key);
  return found == header_.metadata.end() ? nullptr : &found->second;
}

const GgufTensor* GgufFile::find(std::string_view name) const {
  const auto found = index_by_name_.find(name);
  return found == index_by_name_.end() ? nullptr : &header_.tensors[found->second];
}

}  // namespace loraproof::io
