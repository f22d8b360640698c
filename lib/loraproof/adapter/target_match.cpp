// SPDX-License-Identifier: Apache-2.0
#include "loraproof/adapter/target_match.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>

namespace loraproof::adapter {
namespace {

PythonRegex compile(const AdapterConfig& config, std::string_view where,
                    const std::string& pattern) {
  return PythonRegex(pattern, {config.file, fmt::format("/{}", where)});
}

template <typename Value>
std::vector<PythonRegex> compile_keys(const AdapterConfig& config, std::string_view where,
                                      const std::vector<std::pair<std::string, Value>>& patterns) {
  std::vector<PythonRegex> result;
  result.reserve(patterns.size());
  for (const auto& [key, value] : patterns) {
    result.push_back(compile(config, where, fmt::format("(.*\\.)?({})$", key)));
  }
  return result;
}

/// get_pattern_key and the dict.get after it: the first regex hit, else a key that is the path
/// itself.
template <typename Value>
std::optional<std::size_t> first_match(const std::vector<PythonRegex>& keys,
                                       const std::vector<std::pair<std::string, Value>>& patterns,
                                       std::string_view path) {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].match(path)) return i;
  }
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    if (patterns[i].first == path) return i;
  }
  return std::nullopt;
}

}  // namespace

bool names_match(const std::vector<std::string>& names, std::string_view path) {
  if (std::binary_search(names.begin(), names.end(), path, std::less<>())) return true;
  for (std::size_t dot = path.find('.'); dot != path.npos; dot = path.find('.', dot + 1)) {
    if (std::binary_search(names.begin(), names.end(), path.substr(dot + 1), std::less<>())) {
      return true;
    }
  }
  return false;
}

TargetMatcher::TargetMatcher(const AdapterConfig& config)
    : config_(config),
      target_names_(config.target_modules.names),
      rank_keys_(compile_keys(config, "rank_pattern", config.rank_pattern)),
      alpha_keys_(compile_keys(config, "alpha_pattern", config.alpha_pattern)) {
  std::sort(target_names_.begin(), target_names_.end());
  if (config.target_modules.kind == ModuleSelector::Kind::Regex) {
    target_regex_.emplace(compile(config, "target_modules", config.target_modules.pattern));
  }
  if (config.exclude_modules && config.exclude_modules->kind == ModuleSelector::Kind::Regex &&
      !config.exclude_modules->pattern.empty()) {
    exclude_regex_.emplace(compile(config, "exclude_modules", config.exclude_modules->pattern));
  }
  if (config.feedforward_modules &&
      config.feedforward_modules->kind == ModuleSelector::Kind::Regex) {
    feedforward_regex_.emplace(
        compile(config, "feedforward_modules", config.feedforward_modules->pattern));
  }
  for (const auto& name : config.modules_to_save) {  // PEFT does not escape the name
    saved_.push_back(compile(config, "modules_to_save", fmt::format("(^|.*\\.){}($|\\..*)", name)));
  }
  if (!config.layers_to_transform) return;
  if (config.layers_pattern.empty()) {
    layers_.push_back(compile(config, "layers_pattern", ".*?\\.[^.]*\\.(?P<idx>\\d+)\\."));
  }
  for (const auto& pattern : config.layers_pattern) {
    layers_.push_back(compile(config, "layers_pattern",
                              fmt::format("(?:^|.*?\\.){}\\.(?P<idx>\\d+)\\.", pattern)));
  }
}

bool TargetMatcher::is_excluded(const std::string& path) const {
  if (exclude_regex_ && exclude_regex_->full_match(path)) return true;
  if (config_.exclude_modules && !exclude_regex_) {
    for (const auto& name : config_.exclude_modules->names) {
      const bool tail = path.size() > name.size() && path.ends_with(name) &&
                        path[path.size() - name.size() - 1] == '.';
      if (path == name || tail) return true;
    }
  }
  return std::any_of(saved_.begin(), saved_.end(),
                     [&](const PythonRegex& regex) { return regex.match(path); });
}

bool TargetMatcher::is_in_layers(const std::string& path) const {
  if (!config_.layers_to_transform) return true;
  for (const auto& regex : layers_) {
    const auto index = regex.match_group(path, "idx");
    if (!index) continue;  // PEFT stops at the first pattern that matches
    std::int64_t layer = -1;
    const auto [end, failed] = std::from_chars(index->data(), index->data() + index->size(), layer);
    if (failed != std::errc() || end != index->data() + index->size()) return false;
    const auto& wanted = *config_.layers_to_transform;
    return std::find(wanted.begin(), wanted.end(), layer) != wanted.end();
  }
  return false;
}

TargetVerdict TargetMatcher::verdict(const std::string& path, const BaseModule* module) const {
  if (is_excluded(path)) return TargetVerdict::Excluded;
  bool hit = false;
  switch (config_.target_modules.kind) {
    case ModuleSelector::Kind::AllLinear:
      hit =
          module != nullptr && module->kind == BaseModule::Kind::Linear && !module->is_output_head;
      break;
    case ModuleSelector::Kind::Regex: hit = target_regex_->full_match(path); break;
    case ModuleSelector::Kind::Names:
      // A name that is the whole path wins over layers_to_transform.
      hit = std::binary_search(target_names_.begin(), target_names_.end(), path) ||
            (names_match(target_names_, path) && is_in_layers(path));
      break;
  }
  return hit ? TargetVerdict::Targeted : TargetVerdict::Unmatched;
}

bool TargetMatcher::is_saved_whole(std::string_view path) const {
  for (std::size_t end = path.find('.'); end != path.npos; end = path.find('.', end + 1)) {
    const std::string_view parent = path.substr(0, end);
    for (const auto& name : config_.modules_to_save) {
      if (parent.ends_with(name)) return true;
    }
  }
  return std::any_of(config_.modules_to_save.begin(), config_.modules_to_save.end(),
                     [&](const std::string& name) { return path.ends_with(name); });
}

bool TargetMatcher::is_feedforward(const std::string& path) const {
  if (feedforward_regex_) return feedforward_regex_->full_match(path);
  return config_.feedforward_modules &&
         std::ranges::any_of(config_.feedforward_modules->names,
                             [&](const std::string& name) { return path.ends_with(name); });
}

std::optional<std::size_t> TargetMatcher::rank_key_of(const std::string& path) const {
  return first_match(rank_keys_, config_.rank_pattern, path);
}

std::optional<std::size_t> TargetMatcher::alpha_key_of(const std::string& path) const {
  return first_match(alpha_keys_, config_.alpha_pattern, path);
}

std::int64_t TargetMatcher::rank_of(const std::string& path) const {
  const auto key = rank_key_of(path);
  return key ? config_.rank_pattern[*key].second : config_.r;
}

double TargetMatcher::alpha_of(const std::string& path) const {
  const auto key = alpha_key_of(path);
  return key ? config_.alpha_pattern[*key].second : config_.lora_alpha;
}

double TargetMatcher::scale_of(const std::string& path) const {
  const auto r = static_cast<double>(rank_of(path));
  return config_.use_rslora ? alpha_of(path) / std::sqrt(r) : alpha_of(path) / r;
}

}  // namespace loraproof::adapter
