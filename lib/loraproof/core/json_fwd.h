// SPDX-License-Identifier: Apache-2.0
// The names of JSON for headers: what a document is called, and who reads it. nlohmann's own header
// takes seconds to compile, so a header that only passes documents on includes this one, and its
// source core/json.h.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace loraproof {

/// Keys keep file order (PEFT's rank_pattern is matched in file order).
using Json = nlohmann::ordered_json;

class JsonObject;
struct JsonLimits;

}  // namespace loraproof
