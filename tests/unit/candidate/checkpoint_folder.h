// SPDX-License-Identifier: Apache-2.0
// A model folder with hand-written tensors and quantization_config.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/candidate/weight_source.h"
#include "loraproof/core/json.h"
#include "loraproof/io/safetensors_writer.h"
#include "loraproof/io/tensor_view.h"
#include "support/errors.h"
#include "support/temp_dir.h"

namespace loraproof::test {

class CheckpointFolder {
 public:
  /// `quantisation`: the object under quantization_config; null for none.
  explicit CheckpointFolder(Json quantisation) : quantisation_(std::move(quantisation)) {}

  /// Adds or replaces a tensor.
  template <typename Stored>
  CheckpointFolder& tensor(const std::string& name, io::DType dtype,
                           std::vector<std::int64_t> shape, const std::vector<Stored>& values) {
    std::string bytes(values.size() * sizeof(Stored), '\0');
    if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    tensors_[name] = {dtype, std::move(shape), std::move(bytes)};
    return *this;
  }
  CheckpointFolder& without(const std::string& name) {
    tensors_.erase(name);
    return *this;
  }
  Json& quantisation() { return quantisation_; }
  Json& config() { return config_; }
  /// `__metadata__` of the file's header.
  std::map<std::string, std::string>& metadata() { return metadata_; }

  /// Writes the folder anew and opens it.
  candidate::WeightSource open() {
    Json config = config_;
    if (!quantisation_.is_null()) config["quantization_config"] = quantisation_;
    folder_->write("config.json", config.dump());
    std::vector<io::TensorView> views;
    for (const auto& [name, one] : tensors_) {
      views.push_back({.name = name,
                       .dtype = one.dtype,
                       .shape = one.shape,
                       .bytes = std::as_bytes(std::span(one.bytes.data(), one.bytes.size()))});
    }
    std::filesystem::remove(folder_->path() / "model.safetensors");
    io::write_safetensors(folder_->path() / "model.safetensors", views, metadata_);
    return candidate::open_candidate(folder_->path().string());
  }

  /// "tensor: message: expected X, found Y" of the error that opening throws.
  std::string refusal() {
    const auto detail = input_error_of([&] { (void)open(); });
    CHECK(detail.file.find(folder_->path().string()) == 0);
    return detail.where + ": " + detail.message + ": expected " + detail.expected + ", found " +
           detail.found;
  }

 private:
  struct Tensor {
    io::DType dtype;
    std::vector<std::int64_t> shape;
    std::string bytes;
  };
  std::unique_ptr<TempDir> folder_ = std::make_unique<TempDir>();
  Json config_ = Json::object();
  Json quantisation_;
  std::map<std::string, std::string> metadata_;
  std::map<std::string, Tensor> tensors_;
};

/// All values of a weight, row after row; decoded once whole and once row by row, which must agree.
inline std::vector<float> values_of(const candidate::WeightSource& source, std::string_view name) {
  const auto length = static_cast<std::size_t>(source.row_length(name));
  const std::int64_t count = source.row_count(name);
  std::vector<float> whole(static_cast<std::size_t>(count) * length);
  source.rows(name, 0, count, whole);
  std::vector<float> row(length);
  for (std::int64_t i = 0; i < count; ++i) {
    source.rows(name, i, 1, row);
    const auto begin = whole.begin() + static_cast<std::ptrdiff_t>(i * source.row_length(name));
    CHECK(std::equal(row.begin(), row.end(), begin));
  }
  return whole;
}

}  // namespace loraproof::test
