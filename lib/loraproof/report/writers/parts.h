// SPDX-License-Identifier: Apache-2.0
// What several writers say in the same words: figures, names, counts, and the prompts whose answer
// differs. Strings come as they are in the report; escaping is each format's own business.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/report/report.h"

namespace loraproof::report {

using CheckGroup = std::vector<const Check*>;

/// The checks that `keep` accepts, grouped by id in the order in which the ids first appear.
[[nodiscard]] std::vector<CheckGroup> grouped_checks(const Report& report,
                                                     const std::function<bool(const Check&)>& keep);

/// Whether the gate fails on this check: it failed, or what --fail-on and --inconclusive make as
/// bad as that.
[[nodiscard]] bool fails_gate(const Check& check, const GateOptions& gate);

/// "golden.text [support]", or the id alone.
[[nodiscard]] std::string name_with_subject(const Check& check);

/// "min 0.95, max 1"; "" without a limit. Enough digits to tell the value from each bound.
[[nodiscard]] std::string limit_figure(const Check& check);
/// "0.69", with as many digits; "" without a value.
[[nodiscard]] std::string value_figure(const Check& check);
/// "0.55 to 0.8315 (95%)"; "" without an interval.
[[nodiscard]] std::string interval_figure(const Check& check);
/// "0.012": what the samples could have shown; "" where nobody worked it out.
[[nodiscard]] std::string smallest_effect_figure(const Check& check);
/// "value 0.69, max 0.015, interval 0.55 to 0.8315 (95%), n 1280, smallest effect seen 0.012":
/// those that exist.
[[nodiscard]] std::string all_figures(const Check& check);

/// "7 checks: 4 failed, 1 warned, 2 passed"; "no checks" when there are none.
[[nodiscard]] std::string count_line(const Report& report);

/// Why a verdict or exit code is another than the checks alone would give; "" when it isn't.
[[nodiscard]] std::string verdict_note(const Report& report);

/// The non-empty fields of an error but its message, each as "expected: ...".
[[nodiscard]] std::vector<std::string> error_lines(const ErrorDetail& detail);

/// A prompt whose answer differs from the reference. A key of another type than the schema's counts
/// as absent.
struct Divergence {
  std::string id;
  std::string adapter;
  std::string from;                   ///< "from answer token 5: '12' became '13', margin 0.8125"
  std::optional<std::string> before;  ///< The recorded answer.
  std::optional<std::string> now;
};
[[nodiscard]] std::vector<Divergence> divergences(const Report& report);

}  // namespace loraproof::report
