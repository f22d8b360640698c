// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/adapter_input.h"

#include <utility>

#include "loraproof/io/model_folder.h"

namespace loraproof::commands {

AdapterInput open_adapter(const std::string& spec, adapter::Use use) {
  const auto equals = spec.find('=');
  // "NAME=DIR", unless a folder of exactly that spelling exists.
  const bool named = equals != std::string::npos && equals > 0 && !std::filesystem::exists(spec) &&
                     spec.find('/') > equals;
  const std::string where = named ? spec.substr(equals + 1) : spec;
  const std::filesystem::path folder = io::resolve_model_folder(where);
  std::string name = named ? spec.substr(0, equals)
                           : std::filesystem::absolute(folder / ".")
                                 .lexically_normal()
                                 .parent_path()
                                 .filename()
                                 .string();
  adapter::AdapterConfig config = adapter::read_adapter_config(folder, use);
  return {std::move(name), folder, std::move(config),
          io::SafetensorsFile(adapter::adapter_weights_file(folder))};
}

}  // namespace loraproof::commands
