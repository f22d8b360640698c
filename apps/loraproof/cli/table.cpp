// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "cli/cli.h"

namespace loraproof::cli {

std::span<const Subcommand> subcommands() {
  static constexpr std::array kSubcommands{
      Subcommand{"validate",
                 "Does this adapter, on this base, still behave as its golden set says?",
                 add_validate},
      Subcommand{"inspect", "What is in this adapter, and does it fit this base?", add_inspect},
      Subcommand{"quantcheck", "What does deployment in another precision do to this adapter?",
                 add_quantcheck},
      Subcommand{"merge", "Write base and adapters as one checkpoint, every element rounded once",
                 add_merge},
      Subcommand{"drift", "Has the traffic moved away from what the adapter was trained on?",
                 add_drift, nullptr, "compare"},
      Subcommand{"explain", "What does this check or setting mean, and how is it changed?", nullptr,
                 add_explain},
  };
  return kSubcommands;
}

}  // namespace loraproof::cli
