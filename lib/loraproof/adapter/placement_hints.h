// SPDX-License-Identifier: Apache-2.0
// Why a tensor finds no place, and what the reader most likely meant. Internal to adapter/.
#pragma once

#include <optional>
#include <string>

#include "loraproof/adapter/base_modules.h"
#include "loraproof/adapter/keys.h"

namespace loraproof::adapter {

struct MisplacedReason {
  std::string message;
  std::string hint;
};

/// What the configuration says about the module of a key.
struct ModuleRole {
  bool is_target = false;
  bool is_saved = false;
  bool use_dora = false;
  bool lora_bias = false;
};

/// Why PEFT would pass over a tensor of a known module, or nothing when it loads it.
[[nodiscard]] std::optional<MisplacedReason> misplaced_reason(const AdapterKey& key,
                                                              const BaseModule& module,
                                                              const ModuleRole& role);

/// A hint for a module path that the base lacks: other layer numbers, a cut-off front, a near name.
[[nodiscard]] std::string nearest_module_hint(const std::string& path, const BaseModules& base);

/// A hint for a name of target_modules or modules_to_save that hits nothing.
[[nodiscard]] std::string nearest_name_hint(const std::string& name, const BaseModules& base);

}  // namespace loraproof::adapter
