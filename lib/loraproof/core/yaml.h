// SPDX-License-Identifier: Apache-2.0
// Strict YAML for suite.yaml and loraproof.yaml: parsed by yaml-cpp, handed on as Json so that one
// set of accessors (JsonObject) serves both formats.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>

#include "loraproof/core/json_fwd.h"

namespace loraproof {

/// Parses one YAML document into Json. Plain scalars become null, bool, integer, number or string
/// by the YAML 1.2 core schema (its hex, octal, infinite and NaN forms stay strings: no setting
/// takes them); quoted ones stay strings. Throws an input Error with "line N,
/// column M" on a syntax error, a duplicate key, a non-scalar key, an alias (no billion laughs),
/// several documents, bytes that are not UTF-8, nesting deeper than 32 or a text over 4 MiB.
[[nodiscard]] Json parse_yaml(std::string_view text, std::string_view file);
[[nodiscard]] Json read_yaml_file(const std::filesystem::path& path);

}  // namespace loraproof
