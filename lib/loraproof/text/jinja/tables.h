// SPDX-License-Identifier: Apache-2.0
// Lookup of filters and tests by name; the tables are in filters.cpp and tests.cpp.
#pragma once

#include <string_view>

#include "loraproof/text/jinja/evaluator.h"
#include "loraproof/text/jinja/names.h"

namespace loraproof::text::jinja {

using Filter = Value (*)(Evaluator&, const Value& value, const Args& args);
using Test = bool (*)(Evaluator&, const Value& value, const Args& args);

/// nullptr when there is none.
[[nodiscard]] Filter find_filter(std::string_view name);
[[nodiscard]] Test find_test(std::string_view name);
/// The part of find_filter for sequences, in filters_sequence.cpp.
[[nodiscard]] Filter find_sequence_filter(std::string_view name);

}  // namespace loraproof::text::jinja
