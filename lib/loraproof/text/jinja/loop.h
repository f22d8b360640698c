// SPDX-License-Identifier: Apache-2.0
// The state behind the variable `loop`.
#pragma once

#include <functional>
#include <optional>

#include "loraproof/text/jinja/value.h"

namespace loraproof::text::jinja {

/// Hands out the items that pass the loop's filter, one ahead at most: the filter may depend on
/// what the body did before (a namespace, say), exactly as in Jinja.
struct LoopNode : Node {
  Value::Items source;
  std::size_t position = 0;
  std::function<bool(const Value&)> passes;  ///< Empty without a filter.
  std::optional<Value> after, before, current, last_changed;
  std::int64_t index0 = -1;
  std::optional<std::int64_t> known_length;
  int level = 0;

  /// The next item, or nothing at the end.
  std::optional<Value> next();
  [[nodiscard]] const std::optional<Value>& peek();
  [[nodiscard]] std::int64_t length();
  /// After the loop: lets go of everything that could keep scopes alive.
  void finish();

 private:
  std::optional<Value> pull();
};

}  // namespace loraproof::text::jinja
