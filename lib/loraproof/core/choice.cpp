// SPDX-License-Identifier: Apache-2.0
#include "loraproof/core/choice.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "loraproof/core/suggest.h"

namespace loraproof {

Error unknown_choice(std::string_view option, std::string_view name,
                     const std::vector<std::string>& names) {
  // One or two letters are near to anything short.
  const std::string nearest = name.size() < 3 ? "" : nearest_name(name, names);
  return usage_error({.message = "unknown value",
                      .where = std::string(option),
                      .expected = fmt::format("one of {}", fmt::join(names, ", ")),
                      .found = fmt::format("'{}'", name),
                      .hint = nearest.empty() ? "" : fmt::format("did you mean '{}'?", nearest)});
}

}  // namespace loraproof
