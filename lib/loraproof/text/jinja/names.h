// SPDX-License-Identifier: Apache-2.0
// Which filters and tests exist: asked while parsing, answered by the tables of the evaluator.
#pragma once

#include <string_view>

namespace loraproof::text::jinja {

enum class Known { Yes, Unsupported, No };

[[nodiscard]] Known known_filter(std::string_view name);
[[nodiscard]] Known known_test(std::string_view name);

}  // namespace loraproof::text::jinja
