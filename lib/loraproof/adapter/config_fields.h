// SPDX-License-Identifier: Apache-2.0
// The table of adapter_config.json fields: which are read, which mean nothing at inference, and
// which change the meaning in a way loraproof does not implement.
#pragma once

#include "loraproof/adapter/config.h"
#include "loraproof/core/json_fwd.h"

namespace loraproof::adapter {

/// null, false, 0, "", [] and {}: what PEFT writes for a feature that is off.
[[nodiscard]] bool is_off(const Json& value);

/// Throws an input Error for the first field that must be refused.
void refuse_unsupported_fields(const JsonObject& config, Use use);

/// Throws an input Error unless the initialisation leaves the base weights alone, or is one that a
/// merge can do as well ("pissa"). Returns the value as text ("true", "gaussian").
[[nodiscard]] std::string checked_init_lora_weights(const JsonObject& config, Use use);

}  // namespace loraproof::adapter
