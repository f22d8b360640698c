// SPDX-License-Identifier: Apache-2.0
// The fields of adapter_config.json of the methods other than LoRA. Internal to adapter/.
#pragma once

#include "loraproof/adapter/method.h"
#include "loraproof/core/json_fwd.h"

namespace loraproof::adapter {

/// Throws an input Error for the first field that is not one of this method's and holds anything.
void refuse_unknown_fields(const JsonObject& config, Method method);

/// Throws an input Error for values that PEFT refuses, and for what can't be merged exactly: VeRA
/// without its projections, OFT of PEFT releases that computed something else.
[[nodiscard]] MethodSettings read_method_settings(const JsonObject& config, Method method);

}  // namespace loraproof::adapter
