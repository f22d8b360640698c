// SPDX-License-Identifier: Apache-2.0
// Files that the test's CMake file embeds with loraproof_embed.
#pragma once

#include <string_view>

namespace loraproof::report::test {

std::string_view embedded_rules();
std::string_view embedded_empty();

}  // namespace loraproof::report::test
