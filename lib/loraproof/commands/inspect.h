// SPDX-License-Identifier: Apache-2.0
// What is in this adapter, and does it fit this base? The checks on the files alone, without a
// sweep.
#pragma once

#include <optional>
#include <string>

#include "loraproof/commands/context.h"

namespace loraproof::commands {

struct InspectOptions {
  std::string adapter;  ///< folder or org/name
  std::optional<std::string>
      base;  ///< folder or org/name; without it only the adapter is looked at
  std::optional<std::string> golden;  ///< suite whose reference base and adapter are compared with
  std::string reference;              ///< name of the reference; "": the adapter's, or the only one
  PolicyOptions policy;
};

/// landing.* and effect.*, digests of adapter and base (cached by path, size, times and inode), and
/// with a suite identity.* (which needs a base).
[[nodiscard]] report::Report inspect(const InspectOptions& options, Context& context);

}  // namespace loraproof::commands
