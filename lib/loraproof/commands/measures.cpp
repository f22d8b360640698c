// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/measures.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <set>

namespace loraproof::commands {
namespace {

using report::Measure;
using report::Outcome;

Measure finding_measure(const adapter::Finding& finding) {
  return {.id = finding.id,
          .subject = finding.subject,
          .message = finding.message,
          .hint = finding.hint,
          .outcome = Outcome::Fail};  // whether that fails the gate is the rule's severity
}

Measure passed(std::string id, std::string message) {
  return {.id = std::move(id), .message = std::move(message), .outcome = Outcome::Pass};
}

Measure skipped(std::string id, std::string message) {
  return {.id = std::move(id), .message = std::move(message), .outcome = Outcome::Skipped};
}

std::set<std::string> ids_of(const std::vector<adapter::Finding>& findings) {
  std::set<std::string> ids;
  for (const adapter::Finding& finding : findings) ids.insert(finding.id);
  return ids;
}

}  // namespace

Measures landing_measures(const adapter::Landing& landing, bool has_base) {
  Measures measures;
  for (const adapter::Finding& finding : landing.findings)
    measures.push_back(finding_measure(finding));
  const std::set<std::string> found = ids_of(landing.findings);
  const std::set<std::string> needs_base = {"landing.unused_tensor", "landing.missing_target",
                                            "landing.shape"};
  const std::pair<const char*, const char*> families[] = {
      {"landing.unused_tensor", "every tensor of the adapter belongs to a module of the base"},
      {"landing.duplicate_target", "no two tensors land on the same place"},
      {"landing.missing_target", "every configured target has its tensors"},
      {"landing.shape", "all shapes fit the base"},
      {"landing.rank", "ranks agree with the configuration"},
      {"landing.half_pair", "A and B come in pairs"},
      {"landing.non_finite", "all values are finite"},
  };
  for (const auto& [id, message] : families) {
    if (found.contains(id)) continue;
    const bool decided = has_base || !needs_base.contains(id);
    measures.push_back(decided ? passed(id, message) : skipped(id, "needs --base"));
  }
  measures.push_back(
      {.id = "landing.summary",
       .n = landing.tensors,
       .message = fmt::format("{} of {} tensors landed on {} modules", landing.landed,
                              landing.tensors, landing.patches.size()),
       .outcome = Outcome::Pass});
  return measures;
}

Measures zero_effect_measures(const std::vector<adapter::Finding>& findings) {
  Measures measures;
  for (const adapter::Finding& finding : findings) measures.push_back(finding_measure(finding));
  const std::set<std::string> found = ids_of(findings);
  if (!found.contains("effect.zero_adapter")) {
    measures.push_back(passed("effect.zero_adapter", "the adapter changes the base"));
    if (!found.contains("effect.zero_module")) {
      measures.push_back(passed("effect.zero_module", "every adapted module is changed"));
    }
  }
  return measures;
}

Measures effect_measures(const adapter::EffectSums& sums, const adapter::PatchSet& patches,
                         bool use_rslora) {
  if (sums.modules().empty()) {
    return {skipped("effect.scale", "the adapter has no low-rank update"),
            skipped("effect.already_merged", "the adapter has no low-rank update")};
  }
  const adapter::ScaleSummary scale = adapter::summarise_scale(sums, patches, use_rslora);
  Measure ratio{
      .id = "effect.scale",
      .value = scale.median_ratio,
      .n = scale.modules,
      .message = fmt::format(
          "median of |change| / |weight| over the modules; largest {:.3g} in {}; "
          "{:.3g} with use_rslora {}",
          scale.max_ratio, scale.max_module, scale.other_median_ratio, use_rslora ? "off" : "on"),
      .hint =
          "check lora_alpha, r and use_rslora against the training run: a wrong flag scales "
          "the adapter by the square root of the rank"};
  Measure merged{
      .id = "effect.already_merged",
      .value = sums.merged_coefficient(),
      .n = static_cast<std::int64_t>(sums.modules().size()),
      .message =
          fmt::format("share of the adapter's update found in the base: about 0 on the base it "
                      "was trained on, 1 where it is merged already (standard deviation by "
                      "chance {:.2g})",
                      sums.merged_coefficient_sigma()),
      .hint = "use the base without the adapter, or validate the merged copy without --adapter"};
  // By chance alone c scatters around 0; where that scatter reaches the limit it decides nothing.
  if (sums.merged_coefficient_sigma() > 0.2) merged.outcome = Outcome::Inconclusive;
  return {ratio, merged};
}

namespace {

// The first name, in byte order, that is missing on one side or has another value.
struct Difference {
  std::string first;
  std::string how;
  std::int64_t count = 0;
};

Difference difference_of(const std::map<std::string, std::string>& recorded,
                         const std::map<std::string, std::string>& now, bool show_values) {
  Difference difference;
  const auto note = [&](const std::string& name, std::string how) {
    if (difference.count++ == 0 || name < difference.first) {
      difference.first = name;
      difference.how = std::move(how);
    }
  };
  for (const auto& [name, value] : recorded) {
    const auto found = now.find(name);
    if (found == now.end()) {
      note(name, "is gone");
    } else if (found->second != value) {
      note(name, show_values ? fmt::format("was {}, is {}", value, found->second) : "has changed");
    }
  }
  for (const auto& [name, value] : now) {
    if (!recorded.contains(name))
      note(name, show_values ? fmt::format("is new: {}", value) : "is new");
  }
  return difference;
}

Measure map_identity(const char* id, const std::string& what, const Difference& difference,
                     std::size_t total) {
  if (difference.count == 0)
    return passed(id, fmt::format("the {} is what the reference was recorded with", what));
  return {.id = id,
          .subject = difference.first,
          .message = fmt::format("the {} is not what the reference was recorded with: {} {}{}",
                                 what, difference.first, difference.how,
                                 difference.count == 1 ? ""
                                                       : fmt::format(" (and {} more of {})",
                                                                     difference.count - 1, total)),
          .hint = fmt::format(
              "if the change is meant, record a new reference or pass --set {}.severity=warn", id),
          .outcome = Outcome::Fail};
}

using Fields = std::map<std::string, std::string>;

// Identity of tensors together with the configuration that says how they are used; a changed field
// is named before a changed tensor.
Measure configured_identity(const char* id, const char* what, const char* config_file,
                            const Fields& tensors_then, const Fields& config_then,
                            const Fields& tensors_now, const Fields& config_now) {
  Difference difference = difference_of(config_then, config_now, true);
  const Difference tensors = difference_of(tensors_then, tensors_now, false);
  if (difference.count > 0) {
    difference.first = fmt::format("{}: {}", config_file, difference.first);
  } else {
    difference.first = tensors.first;
    difference.how = tensors.how;
  }
  difference.count += tensors.count;
  return map_identity(id, what, difference, tensors_then.size() + config_then.size());
}

Measure template_identity(const std::optional<std::string>& recorded,
                          const std::optional<std::string>& now) {
  constexpr const char* kId = "identity.template";
  if (!recorded && !now) return skipped(kId, "no prompt uses a chat template");
  if (recorded == now)
    return passed(kId, "the chat template is what the reference was recorded with");
  const auto line_at = [](const std::string& text, std::size_t at) {
    const std::size_t begin = at == 0 ? 0 : text.rfind('\n', at - 1) + 1;
    return text.substr(begin, text.find('\n', at) - begin);
  };
  const std::string then = recorded.value_or("");
  const std::string text = now.value_or("");
  const auto [a, b] = std::mismatch(then.begin(), then.end(), text.begin(), text.end());
  const auto at = static_cast<std::size_t>(a - then.begin());
  const auto line = std::count(then.begin(), a, '\n') + 1;
  return {.id = kId,
          .subject = fmt::format("line {}", line),
          .message = fmt::format("the chat template is not what the reference was recorded with: "
                                 "line {} was \"{}\", is \"{}\"",
                                 line, line_at(then, at), line_at(text, at)),
          .hint =
              "serve with the template the adapter was trained with; if the change is meant, "
              "record a new reference",
          .outcome = Outcome::Fail};
}

}  // namespace

Measures identity_measures(const golden::Identity& recorded, const IdentityNow& now) {
  Measures measures;
  if (!now.has_adapter && !recorded.adapter.empty()) {
    measures.push_back(
        skipped("identity.base",
                "no --adapter: a merged checkpoint differs from the recorded base by design"));
    measures.push_back(skipped("identity.adapter", "no --adapter"));
  } else {
    measures.push_back(configured_identity("identity.base", "base", "config.json", recorded.base,
                                           recorded.base_config, now.identity.base,
                                           now.identity.base_config));
    measures.push_back(configured_identity("identity.adapter", "adapter", "adapter_config.json",
                                           recorded.adapter, recorded.adapter_config,
                                           now.identity.adapter, now.identity.adapter_config));
  }
  Measure tokenizer =
      recorded.tokenizer.empty() && now.identity.tokenizer.empty()
          ? skipped("identity.tokenizer", "the prompts are token ids")
          : map_identity("identity.tokenizer", "tokenizer",
                         difference_of(recorded.tokenizer, now.identity.tokenizer, false),
                         recorded.tokenizer.size());
  Measure chat_template = template_identity(recorded.chat_template, now.identity.chat_template);
  if (now.prompts_with_other_ids > 0) {
    const std::string count = fmt::format("; {} of {} prompts now have other token ids",
                                          now.prompts_with_other_ids, now.prompts);
    (chat_template.outcome == Outcome::Fail ? chat_template : tokenizer).message += count;
  }
  measures.push_back(std::move(tokenizer));
  measures.push_back(std::move(chat_template));
  return measures;
}

report::Measure prompt_count_measure(std::int64_t prompts) {
  return {.id = "golden.prompts",
          .value = static_cast<double>(prompts),
          .n = prompts,
          .message = fmt::format("{} golden prompts", prompts),
          .hint = "add prompts to the suite; a handful can't tell a fault from noise"};
}

Measures golden_measures(const golden::GoldenDiff& diff, const golden::NoiseFloor& floor,
                         const ExpectedOutcome& expected, const report::Policy& policy) {
  const double multiple = policy.number("golden.floor_multiple");
  const auto above = [&](double seen, const char* least) {
    return multiple * std::max(seen, policy.number(least));
  };
  const auto prompts = static_cast<std::int64_t>(diff.prompts.size());
  Measures measures;
  const auto add = [&](const char* id, std::optional<double> value, std::int64_t n,
                       report::Limit limit, std::string message) {
    measures.push_back(
        {.id = id, .value = n > 0 ? value : std::nullopt, .n = n, .message = std::move(message)});
    if (!limit.empty()) measures.back().derived_limit = limit;
    if (n == 0) measures.back().outcome = Outcome::Skipped;
  };
  const std::int64_t decided = diff.equal_texts + diff.diverged_texts;
  add("golden.text",
      static_cast<double>(diff.equal_texts) /
          static_cast<double>(std::max<std::int64_t>(decided, 1)),
      decided, {},
      fmt::format("greedy answers: {} equal, {} different, {} decided by ties", diff.equal_texts,
                  diff.diverged_texts, diff.tied_texts));
  const std::int64_t positions = diff.answer_tokens - diff.ties;
  add("golden.token_agreement",
      1 - static_cast<double>(diff.disagreements) /
              static_cast<double>(std::max<std::int64_t>(positions, 1)),
      positions, {}, "answer tokens that are still the first choice");
  add("golden.ties",
      static_cast<double>(diff.ties) /
          static_cast<double>(std::max<std::int64_t>(diff.answer_tokens, 1)),
      diff.answer_tokens, {}, "answer positions where two tokens lie closer than the noise");
  if (expected.n > 0) {
    const auto n = static_cast<double>(expected.n);
    // As right as it was when recorded, less the share of answers that golden.text lets differ.
    const double allowed = 1 - policy.check("golden.text").default_limit.min.value_or(1.0);
    add("golden.expected", static_cast<double>(expected.right) / n, expected.n,
        {.min = std::max(0.0, static_cast<double>(expected.right_when_recorded) / n - allowed)},
        fmt::format("{} answers are as expected; {} were when recorded", expected.right,
                    expected.right_when_recorded));
  } else {
    measures.push_back(skipped("golden.expected", "the suite expects nothing"));
  }
  add("golden.nll", diff.nll_delta, diff.kl_answer_n,
      {.max = above(floor.nll, "golden.floor_min_nll")},
      "NLL of the recorded answers, now minus when recorded, nats per token");
  add("golden.kl_prompt", diff.kl_prompt, diff.kl_prompt_n,
      {.max = above(floor.kl_prompt, "golden.floor_min_kl")},
      "mean KL over the prompts' tokens, nats (a lower bound: top k and tail)");
  add("golden.kl_answer", diff.kl_answer, diff.kl_answer_n,
      {.max = above(floor.kl_answer, "golden.floor_min_kl")},
      "mean KL over the answers' tokens, nats (a lower bound: top k and tail)");
  add("golden.embedding_cosine", diff.cosine, prompts,
      {.min = 1 - above(floor.cosine, "golden.floor_min_cosine")},
      "cosine of the last prompt token's hidden state, mean");
  add("golden.embedding_cosine_min", diff.cosine_worst, prompts,
      {.min = 1 - above(floor.cosine_worst, "golden.floor_min_cosine")}, "the same, worst prompt");
  add("golden.embedding_l2", diff.l2, prompts, {.max = above(floor.l2, "golden.floor_min_l2")},
      "relative L2 distance of the last prompt token's hidden state, mean");
  return measures;
}

}  // namespace loraproof::commands
