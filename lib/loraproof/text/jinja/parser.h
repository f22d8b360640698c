// SPDX-License-Identifier: Apache-2.0
// Tokens to a tree, with Jinja's grammar and precedence. What Jinja knows and we do not is refused
// here by its name.
#pragma once

#include <string_view>

#include "loraproof/text/jinja/ast.h"

namespace loraproof::text::jinja {

/// Parses and resolves scopes. Throws Failure with its line.
[[nodiscard]] Template parse_template(std::string_view source);

/// Fills in `hidden` of the template and of every statement that opens a scope.
void resolve_scopes(Template& parsed);

}  // namespace loraproof::text::jinja
