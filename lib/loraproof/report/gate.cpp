// SPDX-License-Identifier: Apache-2.0
#include "loraproof/report/gate.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <string>
#include <utility>

#include "loraproof/report/numbers.h"

namespace loraproof::report {
namespace {

// Where a side of the limit came from decides what the message tells the reader to change.
struct Bound {
  std::optional<double> value;
  bool derived = false;
};

Bound effective(std::optional<double> set, std::optional<double> derived,
                std::optional<double> fallback) {
  if (set) return {set};
  if (derived) return {derived, true};
  return {fallback};
}

void add_sentence(std::string& message, const std::string& addition) {
  if (!message.empty()) message += message.back() == '.' ? " " : ": ";
  message += addition;
}

void decide_inconclusive(Check& check, const std::string& why) {
  check.status = Status::Inconclusive;
  add_sentence(check.message, why);
}

void decide_fail(Check& check) {
  switch (check.severity) {
    case Severity::Error: check.status = Status::Fail; return;
    case Severity::Warn: check.status = Status::Warn; return;
    case Severity::Info: break;
  }
  check.status = Status::Pass;
  check.message += " (reported only: the policy does not gate this check)";
}

/// False, with the check made inconclusive, when there are too few samples.
bool has_samples(Check& check, std::int64_t min_n) {
  if (min_n <= 0) return true;
  if (!check.n) {
    decide_inconclusive(check,
                        fmt::format("the number of samples is unknown, {} are needed", min_n));
    return false;
  }
  if (*check.n >= min_n) return true;
  decide_inconclusive(check, fmt::format("only {} of the {} samples that are needed; {} more",
                                         *check.n, min_n, min_n - *check.n));
  return false;
}

// Beyond the limit, but it may be chance; or within it, but surely no chance.
void weigh(Check& check, const Significance& significance) {
  if (std::isnan(significance.p)) return decide_inconclusive(check, "its p is not a number");
  const std::string p = format_number(significance.p);
  const std::string level = format_number(significance.level);
  if (check.status == Status::Pass) {
    if (!significance.notable || check.severity == Severity::Info) return;
    check.status = Status::Warn;
    add_sentence(check.message,
                 fmt::format("significant, but within the limit (p {}, needed {})", p, level));
  } else if (!(significance.p <= significance.level)) {
    check.status = significance.notable ? Status::Warn : Status::Pass;
    add_sentence(check.message, fmt::format("this may be chance (p {}, needed {})", p, level));
  } else {
    add_sentence(check.message, fmt::format("p {}, needed {}", p, level));
  }
}

void compare(Check& check, const Bound& min, const Bound& max) {
  const double value = *check.value;
  const int digits = digits_for(check.value, check.limit);
  const auto tell = [&](std::string_view side, const Bound& bound) {
    add_sentence(check.message, fmt::format("{} is {} the limit {}{}", format_number(value, digits),
                                            side, format_number(*bound.value, digits),
                                            bound.derived ? " (a derived limit)" : ""));
    decide_fail(check);
  };
  if (min.value && value < *min.value) {
    tell("below", min);
  } else if (max.value && value > *max.value) {
    tell("above", max);
  } else if (std::isinf(value)) {
    decide_inconclusive(check, "the value is infinite");
  } else {
    check.status = Status::Pass;
  }
}

// Inside its limits, but so few samples that an effect as large as the limits allow would not have
// shown: not a pass.
void expect_resolution(Check& check, const Measure& measure, const Bound& min, const Bound& max) {
  if (check.status != Status::Pass || !measure.smallest_effect) return;
  std::optional<double> room;
  if (max.value) room = *max.value - measure.no_effect;
  if (min.value) room = std::min(room.value_or(INFINITY), measure.no_effect - *min.value);
  if (!room || *measure.smallest_effect <= *room) return;
  decide_inconclusive(
      check, fmt::format("an effect below {} could not have been seen with these samples, and the "
                         "limit allows {}; add prompts, or widen the limit",
                         format_number(*measure.smallest_effect), format_number(*room)));
}

void judge_value(Check& check, const Measure& measure, const CheckPolicy& policy,
                 const Rule& rule) {
  const Limit derived = measure.derived_limit.value_or(Limit{});
  const Bound min = effective(policy.set_limit.min, derived.min, policy.default_limit.min);
  const Bound max = effective(policy.set_limit.max, derived.max, policy.default_limit.max);
  const bool asked = !measure.report_only || policy.is_set;
  const bool limited = asked && (min.value || max.value);
  if (limited) check.limit = Limit{min.value, max.value};
  if (!check.value) return decide_inconclusive(check, "there is no value");
  if (std::isnan(*check.value)) return decide_inconclusive(check, "the value is not a number");
  if ((min.value && std::isnan(*min.value)) || (max.value && std::isnan(*max.value))) {
    return decide_inconclusive(check, "the limit is not a number");
  }
  if (limited) {
    compare(check, min, max);
    if (measure.significance && check.status != Status::Inconclusive)
      weigh(check, *measure.significance);
    return expect_resolution(check, measure, min, max);
  }
  if (asked && rule.needs_limit) {
    const std::string_view side = rule.better == Better::Higher ? "min" : "max";
    return decide_inconclusive(
        check, fmt::format("there is no limit, because no noise floor was measured; set {}.{}",
                           rule.id, side));
  }
  check.status = Status::Pass;
  if (policy.min_n > 0) return;  // having enough samples was the question
  check.severity = Severity::Info;
  check.message += asked ? " (reported only: no limit set)" : " (reported only)";
}

Check judge(const Measure& measure, const Policy& policy) {
  const Rule& rule = policy.rule(measure.id);
  const CheckPolicy limits = policy.check(measure.id);
  Check check{.id = measure.id,
              .subject = measure.subject,
              .severity = limits.severity,
              .required = rule.required,
              .value = measure.value,
              .interval = measure.interval,
              .n = measure.n,
              .smallest_effect = measure.smallest_effect,
              .message = measure.message.empty() ? rule.title : measure.message,
              .hint = measure.hint};
  if (measure.report_only && !limits.is_set) check.severity = Severity::Info;
  if (measure.outcome == Outcome::Skipped) {
    check.status = Status::Skipped;
  } else if (measure.outcome == Outcome::Inconclusive) {
    check.status = Status::Inconclusive;
  } else if (has_samples(check, limits.min_n)) {
    if (!measure.outcome) {
      judge_value(check, measure, limits, rule);
    } else if (*measure.outcome == Outcome::Fail) {
      decide_fail(check);
    } else {
      check.status = Status::Pass;
    }
  }
  const bool clean_pass = check.status == Status::Pass && measure.outcome != Outcome::Fail &&
                          check.severity != Severity::Info;
  if (clean_pass) check.hint.clear();
  return check;
}

}  // namespace

std::vector<Check> gate(std::span<const Measure> measures, const Policy& policy) {
  std::vector<Check> checks;
  checks.reserve(measures.size());
  for (const Measure& measure : measures) checks.push_back(judge(measure, policy));
  return checks;
}

}  // namespace loraproof::report
