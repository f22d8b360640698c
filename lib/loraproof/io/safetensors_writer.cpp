// SPDX-License-Identifier: Apache-2.0
#include "loraproof/io/safetensors_writer.h"

#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <set>
#include <unistd.h>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/core/file.h"
#include "loraproof/core/json.h"
#include "loraproof/io/safetensors.h"

namespace loraproof::io {
namespace {

constexpr std::size_t kAlignment = 8;

std::uint64_t bytes_of(const TensorSpec& spec, const std::filesystem::path& path) {
  const auto bytes = byte_count(spec.dtype, spec.shape);
  if (bytes) return *bytes;
  throw internal_error({.message = "tensor to be written has an impossible shape",
                        .file = path.string(),
                        .where = spec.name,
                        .found = shape_text(spec.shape)});
}

std::string header_text(const std::vector<TensorSpec>& specs,
                        const std::map<std::string, std::string>& metadata,
                        const std::filesystem::path& path) {
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::set<std::string> names = {"", "__metadata__"};  // not allowed as tensor names
  std::uint64_t offset = 0;
  for (const TensorSpec& spec : specs) {
    if (!names.insert(spec.name).second) {
      throw internal_error({.message = "duplicate or reserved name of a tensor to be written",
                            .file = path.string(),
                            .where = spec.name});
    }
    const std::uint64_t end = offset + bytes_of(spec, path);
    Json entry = {{"dtype", name_of(spec.dtype)}, {"shape", spec.shape}};
    entry["data_offsets"] = {offset, end};
    // Appended as a pair: operator[] of an ordered object searches all keys before it.
    header.get_ref<Json::object_t&>().push_back({spec.name, std::move(entry)});
    offset = end;
  }
  std::string text = header.dump();
  text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');
  return text;
}

}  // namespace

std::string safetensors_header(const std::vector<TensorSpec>& specs,
                               const std::map<std::string, std::string>& metadata,
                               const std::filesystem::path& path) {
  const std::string text = header_text(specs, metadata, path);
  std::string out;
  for (std::size_t i = 0; i < 8; ++i)
    out += static_cast<char>(static_cast<unsigned char>((text.size() >> (8 * i)) & 0xFF));
  return out + text;
}

SafetensorsWriter::SafetensorsWriter(std::filesystem::path path, std::vector<TensorSpec> specs,
                                     const std::map<std::string, std::string>& metadata)
    : path_(std::move(path)), specs_(std::move(specs)) {
  const std::string header = safetensors_header(specs_, metadata, path_);
  if (!specs_.empty()) missing_ = bytes_of(specs_.front(), path_);
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (descriptor_ < 0) throw write_error(path_, errno);
  try {
    write(std::as_bytes(std::span(header)));
  } catch (...) {  // the destructor does not run for a half-built object
    ::close(descriptor_);
    ::unlink(path_.c_str());
    throw;
  }
}

SafetensorsWriter::~SafetensorsWriter() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!finished_) ::unlink(path_.c_str());
}

void SafetensorsWriter::append(std::span<const std::byte> bytes) {
  while (missing_ == 0 && current_ + 1 < specs_.size() && !bytes.empty()) {
    missing_ = bytes_of(specs_[++current_], path_);
  }
  if (bytes.size() > missing_) {
    throw internal_error({.message = "too many bytes for the tensor to be written",
                          .file = path_.string(),
                          .where = current_ < specs_.size() ? specs_[current_].name : "",
                          .expected = fmt::format("at most {}", missing_),
                          .found = fmt::format("{}", bytes.size())});
  }
  write(bytes);
  missing_ -= bytes.size();
}

void SafetensorsWriter::finish() {
  while (missing_ == 0 && current_ + 1 < specs_.size()) {
    missing_ = bytes_of(specs_[++current_], path_);
  }
  if (missing_ > 0) {
    throw internal_error({.message = "tensor to be written is incomplete",
                          .file = path_.string(),
                          .where = specs_[current_].name,
                          .found = fmt::format("{} bytes missing", missing_)});
  }
  if (::fsync(descriptor_) != 0) throw write_error(path_, errno);
  if (::close(std::exchange(descriptor_, -1)) != 0) throw write_error(path_, errno);
  finished_ = true;
}

void SafetensorsWriter::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw write_error(path_, errno);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void write_safetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<TensorSpec> specs;
  specs.reserve(tensors.size());
  for (const TensorView& view : tensors) specs.push_back({view.name, view.dtype, view.shape});
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (byte_count(tensors[i].dtype, tensors[i].shape) != tensors[i].bytes.size()) {
      throw internal_error(
          {.message = "tensor to be written has bytes that do not fit its shape",
           .file = path.string(),
           .where = tensors[i].name,
           .found = fmt::format("{} bytes for {} {}", tensors[i].bytes.size(),
                                name_of(tensors[i].dtype), shape_text(tensors[i].shape))});
    }
  }
  SafetensorsWriter writer(path, std::move(specs), metadata);
  for (const TensorView& view : tensors) writer.append(view.bytes);
  writer.finish();
}

}  // namespace loraproof::io
