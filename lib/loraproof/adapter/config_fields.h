// SPDX-License-Identifier: Apache-2.0
// The table of adapter_config.json fields: which are read, which mean nothing at inference, and
// which change the meaning in a way loraproof does not implement.
#pragma once

#include "loraproof/core/json.h"

namespace loraproof::adapter {

/// Throws an input Error for the first field that must be refused.
void refuse_unsupported_fields(const JsonObject& config);

/// Throws an input Error unless the initialisation leaves the base weights alone. Returns the value
/// as text ("true", "gaussian").
[[nodiscard]] std::string checked_init_lora_weights(const JsonObject& config);

}  // namespace loraproof::adapter
