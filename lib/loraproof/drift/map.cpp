// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/map.h"

namespace loraproof::drift {

std::string_view name_of(Side side) { return side == Side::Prompt ? "prompt" : "output"; }

std::string settings_of(const Map& map) {
  const auto yes = [](bool value) { return value ? "yes" : "no"; };
  std::string out = "side=";
  out += name_of(map.side);
  out += std::string(" system=") + yes(map.system_kept) + " cluster=" + yes(map.clustered);
  return out;
}

}  // namespace loraproof::drift
