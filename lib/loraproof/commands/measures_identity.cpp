// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <fmt/format.h>
#include <map>

#include "loraproof/commands/measures.h"
#include "loraproof/io/digest.h"

namespace loraproof::commands {
namespace {

using report::Measure;
using report::Outcome;
using Fields = std::map<std::string, std::string>;

// The first name, in byte order, that is missing on one side or has another value.
struct Difference {
  std::string first;
  std::string how;
  std::int64_t count = 0;
};

Difference difference_of(const Fields& recorded, const Fields& now, bool show_values) {
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

Measure not_as_recorded(const char* id, std::string subject, std::string message) {
  return {.id = id,
          .subject = std::move(subject),
          .message = std::move(message),
          .hint = fmt::format(
              "if the change is meant, record a new reference or pass --set {}.severity=warn", id),
          .outcome = Outcome::Fail};
}

Measure map_identity(const char* id, const std::string& what, const Difference& difference,
                     std::size_t total) {
  if (difference.count == 0)
    return passed(id, fmt::format("the {} is what the reference was recorded with", what));
  return not_as_recorded(
      id, difference.first,
      fmt::format("the {} is not what the reference was recorded with: {} {}{}", what,
                  difference.first, difference.how,
                  difference.count == 1
                      ? ""
                      : fmt::format(" (and {} more of {})", difference.count - 1, total)));
}

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

// What merge.json says of the base, its files being those it names.
Measure merged_base_identity(const golden::Identity& recorded, const IdentityNow& now) {
  constexpr const char* kId = "identity.base";
  const merge::Lineage& lineage = now.merged->lineage;
  if (now.merged->changed_file) {
    return not_as_recorded(kId, "merge.json",
                           fmt::format("the weights are not those that merge.json names: {}",
                                       *now.merged->changed_file));
  }
  if (lineage.base_sha256 != io::combined_digest(recorded.base)) {
    return not_as_recorded(
        kId, "merge.json",
        fmt::format("merged onto another base than the reference was recorded with: {} ({})",
                    lineage.base_name, lineage.base_sha256));
  }
  if (!lineage.base_scheme.empty()) {
    return not_as_recorded(kId, "merge.json",
                           fmt::format("merged onto the base as {} stores it; the reference was "
                                       "recorded on the base itself",
                                       lineage.base_scheme));
  }
  Fields then = recorded.base_config, current = now.identity.base_config;
  if (lineage.untied_head) {
    then.erase("tie_word_embeddings");
    current.erase("tie_word_embeddings");
  }
  Difference difference = difference_of(then, current, true);
  difference.first = "config.json: " + difference.first;
  if (difference.count > 0) return map_identity(kId, "base", difference, then.size());
  return passed(kId, "merged, by merge.json, onto the base that the reference was recorded with");
}

Measure merged_adapter_identity(const golden::Identity& recorded, const MergedFrom& merged) {
  constexpr const char* kId = "identity.adapter";
  if (merged.changed_file) return skipped(kId, "the weights are not those that merge.json names");
  const std::vector<merge::MergedAdapter>& adapters = merged.lineage.adapters;
  if (adapters.size() > 1) {
    return not_as_recorded(kId, "merge.json",
                           fmt::format("{} adapters were merged; the reference was recorded with "
                                       "one",
                                       adapters.size()));
  }
  const merge::MergedAdapter& adapter = adapters.front();
  Difference difference = difference_of(recorded.adapter_config, adapter.config, true);
  if (difference.count > 0) {
    difference.first = "adapter_config.json: " + difference.first;
    return map_identity(kId, "merged adapter", difference, recorded.adapter_config.size());
  }
  if (adapter.sha256 != io::combined_digest(recorded.adapter)) {
    return not_as_recorded(
        kId, "merge.json",
        fmt::format("another adapter was merged than the reference was recorded with: {} ({})",
                    adapter.name, adapter.sha256));
  }
  if (adapter.weight != 1) {
    return not_as_recorded(kId, "merge.json",
                           fmt::format("the adapter was merged with weight {}; the reference was "
                                       "recorded with 1",
                                       adapter.weight));
  }
  return passed(kId,
                "merged, by merge.json, from the adapter that the reference was recorded with");
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
  if (!now.has_adapter && !recorded.adapter.empty() && now.merged) {
    measures.push_back(merged_base_identity(recorded, now));
    measures.push_back(merged_adapter_identity(recorded, *now.merged));
    measures.back().report_only = now.adapter_may_differ;
  } else if (!now.has_adapter && !recorded.adapter.empty()) {
    measures.push_back(
        skipped("identity.base",
                "no --adapter and no merge.json: a merged checkpoint differs from the recorded "
                "base by design"));
    measures.push_back(skipped("identity.adapter", "no --adapter and no merge.json"));
  } else {
    measures.push_back(configured_identity("identity.base", "base", "config.json", recorded.base,
                                           recorded.base_config, now.identity.base,
                                           now.identity.base_config));
    measures.push_back(configured_identity("identity.adapter", "adapter", "adapter_config.json",
                                           recorded.adapter, recorded.adapter_config,
                                           now.identity.adapter, now.identity.adapter_config));
    measures.back().report_only = now.adapter_may_differ;
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

}  // namespace loraproof::commands
