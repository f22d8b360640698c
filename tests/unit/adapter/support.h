// SPDX-License-Identifier: Apache-2.0
// The fixtures of tests/oracles/adapter_oracle.py, and copies of them with a fault put in.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/adapter/landing.h"
#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "support/temp_dir.h"

namespace loraproof::test {

/// golden/values/adapter_landing.json and adapter_targets.json, read once.
const Json& landing_values();
const Json& target_values();

std::filesystem::path fixture(std::string_view name);
adapter::BaseModules base_modules(std::string_view base);

/// An adapter in memory that can be damaged before it is landed.
struct EditableAdapter {
  struct Tensor {
    std::string name;
    io::DType dtype;
    std::vector<std::int64_t> shape;
    std::vector<std::byte> bytes;

    float* floats() { return reinterpret_cast<float*>(bytes.data()); }
    [[nodiscard]] std::size_t count() const { return bytes.size() / sizeof(float); }
  };
  std::vector<Tensor> tensors;
  Json config;
  std::string base;

  explicit EditableAdapter(std::string_view fixture_name);
  Tensor& at(std::string_view name);
  void erase_if(const std::function<bool(const Tensor&)>& unwanted);
  void rename(std::string_view find, std::string_view replace);
  [[nodiscard]] adapter::Landing land() const;
};

/// "base_model.model." + path
std::string key(std::string_view path);

/// The finding with this id, or nullptr.
const adapter::Finding* find(const adapter::Landing& landing, std::string_view id);
/// "id: subject: message" of all findings, for INFO.
std::string text_of(const std::vector<adapter::Finding>& findings);

/// The error that `action` throws, or a failed check.
Error error_of(const std::function<void()>& action);

}  // namespace loraproof::test
