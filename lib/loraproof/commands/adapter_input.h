// SPDX-License-Identifier: Apache-2.0
// Opens the adapter that a command is given: its header and configuration only, no weight is read.
#pragma once

#include <filesystem>
#include <string>

#include "loraproof/adapter/config.h"
#include "loraproof/io/safetensors.h"

namespace loraproof::commands {

struct AdapterInput {
  std::string name;  ///< NAME of NAME=DIR, else the folder's name
  std::filesystem::path folder;
  adapter::AdapterConfig config;
  io::SafetensorsFile weights;
};
/// `spec`: a folder, org/name in the local cache, or NAME=DIR.
[[nodiscard]] AdapterInput open_adapter(const std::string& spec,
                                        adapter::Use use = adapter::Use::Forward);

}  // namespace loraproof::commands
