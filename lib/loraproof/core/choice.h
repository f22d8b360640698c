// SPDX-License-Identifier: Apache-2.0
// Options that are one of a few names: the table of an enum's names stands beside the enum, and the
// command line, parsing and messages all read it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "loraproof/core/error.h"

namespace loraproof {

/// One row of a table of names.
template <class Enum>
struct Choice {
  Enum value;
  std::string_view name;
};

/// The usage Error for a name that is not in a table: which there are, and the nearest one.
/// `option`: what was to be set, as "--combine".
[[nodiscard]] Error unknown_choice(std::string_view option, std::string_view name,
                                   const std::vector<std::string>& names);

/// The names of a table, in its order.
template <class Table>
[[nodiscard]] std::vector<std::string> choice_names(const Table& table) {
  std::vector<std::string> names;
  for (const auto& choice : table) names.emplace_back(choice.name);
  return names;
}

/// The value of this name. Throws unknown_choice().
template <class Table>
[[nodiscard]] auto parse_choice(const Table& table, std::string_view name,
                                std::string_view option) {
  for (const auto& choice : table)
    if (choice.name == name) return choice.value;
  throw unknown_choice(option, name, choice_names(table));
}

/// The name of a value. A value that the table lacks is our own mistake: an internal Error.
template <class Table, class Enum>
[[nodiscard]] std::string choice_name(const Table& table, Enum value) {
  for (const auto& choice : table)
    if (choice.value == value) return std::string(choice.name);
  throw internal_error({.message = "a value without a name"});
}

}  // namespace loraproof
