// SPDX-License-Identifier: Apache-2.0
// Which of two questions a suite asks.
#pragma once

#include <array>
#include <string_view>

#include "loraproof/core/choice.h"

namespace loraproof::golden {

enum class Against {
  Same,      ///< the same adapter as recorded, possibly on another build, precision or machine
  Revision,  ///< a new version of the adapter: does it do its task as well as the recorded one?
};

inline constexpr std::array kAgainstNames{Choice<Against>{Against::Same, "same"},
                                          Choice<Against>{Against::Revision, "revision"}};

/// "same" or "revision"; a usage Error for another name.
[[nodiscard]] inline Against parse_against(std::string_view name) {
  return parse_choice(kAgainstNames, name, "--against");
}

}  // namespace loraproof::golden
