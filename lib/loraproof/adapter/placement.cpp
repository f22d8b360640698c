// SPDX-License-Identifier: Apache-2.0
#include "loraproof/adapter/placement.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>

#include "loraproof/adapter/finding_list.h"
#include "loraproof/adapter/method_placement.h"
#include "loraproof/adapter/placement_hints.h"
#include "loraproof/adapter/placement_tensor.h"
#include "loraproof/adapter/target_match.h"

namespace loraproof::adapter {
namespace {

struct Slot {
  std::string key;                       // as in the file
  const io::TensorView* view = nullptr;  // null where it can't be used
};

class Placer {
 public:
  Placer(const AdapterConfig& config, const io::SafetensorsFile& file, const BaseModules& base)
      : config_(config), file_(file), base_(base), matcher_(config) {
    if (config.method != Method::Lora) method_.emplace(config, base, matcher_, findings_);
  }

  Placement run() {
    result_.tensors = static_cast<std::int64_t>(file_.tensors().size());
    find_targets();
    for (const auto& view : file_.tensors()) place(view);
    for (const auto& [path, module] : base_) {
      if (targets_.contains(path) && !method_) require_lora(path, module);
      require_whole(path, module);
      require_tokens(path, module);
    }
    if (method_) method_->require_all(result_.targets);
    report_unused_configuration();
    build_modules();
    result_.findings = findings_.finish();
    return std::move(result_);
  }

 private:
  using Occurrence = FindingList::Occurrence;

  void tensor_finding(std::string id, std::string kind, std::string subject, std::string message,
                      std::string hint, bool fail = true) {
    findings_.add({std::move(id), std::move(kind), std::move(subject), std::move(message),
                   std::move(hint), fail, result_.tensors, "tensors"});
  }
  void target_finding(std::string id, std::string kind, std::string subject, std::string message,
                      std::string hint, std::int64_t of, std::string noun = "targets") {
    findings_.add({std::move(id), std::move(kind), std::move(subject), std::move(message),
                   std::move(hint), true, of, std::move(noun)});
  }

  /// Targets among the modules of the base, and paths between them that PEFT could not adapt.
  void find_targets() {
    std::set<std::string> refused;
    for (const auto& [path, module] : base_) {
      for (std::size_t dot = path.find('.'); dot != path.npos; dot = path.find('.', dot + 1)) {
        const std::string parent = path.substr(0, dot);
        if (!containers_.insert(parent).second) continue;
        if (matcher_.verdict(parent, nullptr) == TargetVerdict::Targeted) refused.insert(parent);
      }
      if (module.kind == BaseModule::Kind::Experts) {
        if (is_target_parameter(path)) targets_.insert(path);
        continue;
      }
      if (matcher_.verdict(path, &module) != TargetVerdict::Targeted) continue;
      if (module.kind == BaseModule::Kind::Norm) {
        refused.insert(path);
      } else if (matcher_.is_saved_whole(path)) {
        target_finding(
            "landing.duplicate_target", "saved", path,
            "target_modules and modules_to_save both claim this module",
            "modules_to_save matches the end of a name, even inside a word; PEFT nests both", 0);
      } else if (!method_ || method_->expect(path, module)) {
        targets_.insert(path);
      }
    }
    result_.targets = static_cast<std::int64_t>(targets_.size());
    for (const auto& path : refused) {
      target_finding(
          "landing.missing_target", "layer type", path,
          "target_modules selects this module, which is neither a linear layer nor an embedding",
          "PEFT refuses to load this configuration: make the pattern narrower", 0);
    }
  }

  void place(const io::TensorView& view) {
    if (method_) {
      const MethodPlacer::Place at = method_->place(view, result_.tensors);
      result_.landed += at == MethodPlacer::Place::Landed ? 1 : 0;
      if (at != MethodPlacer::Place::NotOfAMethod) return;
    }
    const AdapterKey key = parse_key(view.name);
    if (is_leftover(key)) {
      ++result_.landed;
      return;
    }
    if (!key.is_loaded()) {
      tensor_finding("landing.unused_tensor", fmt::format("dialect {}", int(key.dialect)),
                     view.name, std::string(problem_of(key.dialect)),
                     std::string(hint_for(key.dialect)));
      return;
    }
    if (auto experts = experts_key(key)) return place_on(view, *experts);
    place_on(view, key);
  }

  void place_on(const io::TensorView& view, const AdapterKey& key) {
    const auto found = base_.find(key.module);
    if (found == base_.end()) return unknown_module(view, key);
    const BaseModule& module = found->second;
    if (auto reason = misplaced(key, module)) {
      tensor_finding("landing.unused_tensor", reason->message, view.name, reason->message,
                     reason->hint);
      return;
    }
    auto& slots = slots_[key.module];
    const auto [at, fresh] = slots.try_emplace(key.part);
    if (!fresh) {
      tensor_finding("landing.duplicate_target", "twice", view.name,
                     fmt::format("the same place is filled by '{}' as well", at->second.key),
                     "keep one of the two tensors: which of them PEFT uses depends on their order");
      return;
    }
    at->second.key = view.name;
    if (!check(view, key, module, at->second)) return;
    ++result_.landed;
    if (key.dialect == Dialect::AdapterName) {
      tensor_finding("landing.key_dialect", "adapter name", view.name,
                     std::string(problem_of(key.dialect)), std::string(hint_for(key.dialect)),
                     /*fail=*/false);
    }
    note_replaced(view, key, module);
  }

  [[nodiscard]] bool is_target_parameter(const std::string& path) const {
    return std::ranges::any_of(config_.target_parameters, [&](const std::string& name) {
      return path == name || path.ends_with("." + name);
    });
  }

  /// PEFT wraps a module of experts once for each of its parameters, the first one innermost, and
  /// the keys say only how deep: "experts.base_layer.lora_A.weight". The key with the parameter's
  /// path, where this is one. Order: peft 0.21.2 tuners_utils.py _inject_parameters, which goes
  /// through named_parameters(); transformers' experts have gate_up_proj before down_proj.
  [[nodiscard]] std::optional<AdapterKey> experts_key(const AdapterKey& key) const {
    if (key.part != Part::LoraA && key.part != Part::LoraB) return std::nullopt;
    constexpr std::string_view kWrapper = ".base_layer";
    std::string owner = key.module;
    std::size_t depth = 0;
    for (; owner.ends_with(kWrapper); ++depth) owner.resize(owner.size() - kWrapper.size());
    std::vector<std::string> paths;
    for (const char* name : {".gate_up_proj", ".down_proj"}) {
      if (targets_.contains(owner + name) &&
          base_.at(owner + name).kind == BaseModule::Kind::Experts)
        paths.push_back(owner + name);
    }
    if (depth >= paths.size()) return std::nullopt;
    return AdapterKey{paths[paths.size() - 1 - depth], key.part, key.dialect};
  }

  /// Token ids whose rows the file holds for this embedding, or null.
  [[nodiscard]] const std::vector<std::int64_t>* tokens_of(const std::string& path,
                                                           const BaseModule& module) const {
    for (const TrainedTokens& trained : config_.trained_tokens) {
      const bool is_default = trained.module.empty() && path.ends_with("embed_tokens");
      const bool named = !trained.module.empty() && path.ends_with(trained.module);
      if (module.in > 0 && (is_default || named)) return &trained.tokens;
    }
    return nullptr;
  }

  /// With bias="all" PEFT also writes its wrapper's inner copies of a module that is saved whole:
  /// "original_module" (the base's own) and "modules_to_save" (the same as the plain key).
  [[nodiscard]] bool is_leftover(const AdapterKey& key) const {
    constexpr std::string_view kOriginal = ".original_module";
    if (key.dialect == Dialect::Peft && key.module.ends_with(kOriginal)) {
      const std::string owner = key.module.substr(0, key.module.size() - kOriginal.size());
      return base_.contains(owner) && matcher_.is_saved_whole(owner);
    }
    return key.dialect == Dialect::SavedInfix && matcher_.is_saved_whole(key.module) &&
           file_.find(peft_key(key.module, key.part)) != nullptr;
  }

  void unknown_module(const io::TensorView& view, const AdapterKey& key) {
    const std::string kind = "module";
    std::string hint;
    if (!findings_.has("landing.unused_tensor", kind))
      hint = nearest_module_hint(key.module, base_);
    tensor_finding("landing.unused_tensor", kind, view.name,
                   fmt::format("the base has no module '{}'", key.module), std::move(hint));
  }

  /// Why PEFT would pass this tensor over although the module exists, if it would.
  [[nodiscard]] std::optional<MisplacedReason> misplaced(const AdapterKey& key,
                                                         const BaseModule& module) const {
    if (key.part == Part::TokenRows) {
      if (tokens_of(key.module, module) != nullptr) return std::nullopt;
      return MisplacedReason{"trainable_token_indices does not name this embedding",
                             "the configuration differs from that of the training"};
    }
    return misplaced_reason(key, module,
                            {.is_target = targets_.contains(key.module),
                             .is_saved = matcher_.is_saved_whole(key.module),
                             .use_dora = config_.use_dora,
                             .lora_bias = config_.lora_bias});
  }

  bool check(const io::TensorView& view, const AdapterKey& key, const BaseModule& module,
             Slot& slot) {
    const bool tokens = key.part == Part::TokenRows;
    auto problem = tokens ? token_problem(view, key.module, module)
                          : shape_problem(view, key.part, module, matcher_.rank_of(key.module),
                                          rank_source(key.module));
    if (!problem) problem = finite_problem(view);
    file_.file().done_with(view.bytes);  // an adapter can be larger than what a merge may take
    if (!problem) {
      slot.view = &view;
      return true;
    }
    tensor_finding(problem->id, problem->kind, view.name, problem->message, problem->hint);
    return false;
  }

  [[nodiscard]] std::optional<TensorProblem> token_problem(const io::TensorView& view,
                                                           const std::string& path,
                                                           const BaseModule& module) const {
    const std::vector<std::int64_t>& tokens = *tokens_of(path, module);
    if (const auto beyond =
            std::ranges::find_if(tokens, [&](std::int64_t t) { return t >= module.out; });
        beyond != tokens.end()) {
      return TensorProblem{
          "landing.shape", "tokens",
          fmt::format("trainable_token_indices has {}, the base {} tokens", *beyond, module.out),
          "the vocabulary was resized in training, or the base is another one"};
    }
    return shape_problem(view, Part::TokenRows, module, std::ssize(tokens),
                         "the length of trainable_token_indices");
  }

  [[nodiscard]] std::string rank_source(const std::string& path) const {
    const auto key = matcher_.rank_key_of(path);
    return key ? fmt::format("rank_pattern '{}'", config_.rank_pattern[*key].first) : "r";
  }

  void note_replaced(const io::TensorView& view, const AdapterKey& key, const BaseModule& module) {
    const bool weight = key.part == Part::BaseWeight ||
                        (key.part == Part::Weight && !matcher_.is_saved_whole(key.module));
    if (!weight || module.kind == BaseModule::Kind::Embedding || module.is_output_head) return;
    tensor_finding(
        "landing.base_replaced", "weight", view.name,
        "the file replaces a whole weight of the base that modules_to_save does not list",
        "PEFT loads it; check that it was meant to be saved", /*fail=*/false);
  }

  [[nodiscard]] bool has(const std::string& path, Part part) const {
    const auto module = slots_.find(path);
    return module != slots_.end() && module->second.contains(part);
  }

  void require_lora(const std::string& path, const BaseModule& module) {
    const bool embedding = module.kind == BaseModule::Kind::Embedding;
    const Part part_a = embedding ? Part::EmbeddingA : Part::LoraA;
    const Part part_b = embedding ? Part::EmbeddingB : Part::LoraB;
    if (!has(path, part_a) && !has(path, part_b)) {
      target_finding("landing.missing_target", "lora", path,
                     "the configuration adapts this module, but the file holds no tensors for it",
                     "PEFT would run this module with an untrained adapter, that is as the base; "
                     "save the adapter again",
                     result_.targets);
      return;
    }
    if (!has(path, part_a) || !has(path, part_b)) {
      const Part missing = has(path, part_a) ? part_b : part_a;
      target_finding("landing.half_pair", std::string(suffix_of(missing)), path,
                     fmt::format("one half of the pair is missing: '{}'", peft_key(path, missing)),
                     "PEFT would run this module as the base does; save the adapter again",
                     result_.targets);
    }
    if (config_.use_dora && !has(path, Part::Magnitude)) {
      target_finding(
          "landing.missing_target", "magnitude", path,
          fmt::format("use_dora is set, but the file lacks '{}'", peft_key(path, Part::Magnitude)),
          "save the adapter again, or unset use_dora if it was trained without", result_.targets);
    }
    if (config_.lora_bias && embedding) {
      target_finding("landing.missing_target", "embedding bias", path,
                     "lora_bias is set, which PEFT refuses for an embedding", "unset lora_bias",
                     result_.targets);
    } else if (config_.lora_bias && !has(path, Part::LoraBBias)) {
      target_finding(
          "landing.missing_target", "lora bias", path,
          fmt::format("lora_bias is set, but the file lacks '{}'", peft_key(path, Part::LoraBBias)),
          "save the adapter again, or unset lora_bias if it was trained without", result_.targets);
    }
  }

  void require_tokens(const std::string& path, const BaseModule& module) {
    if (module.kind != BaseModule::Kind::Embedding || tokens_of(path, module) == nullptr ||
        has(path, Part::TokenRows))
      return;
    target_finding(
        "landing.missing_target", "tokens", path,
        fmt::format("trainable_token_indices names this embedding, but the file lacks '{}'",
                    peft_key(path, Part::TokenRows)),
        "save the adapter again", 0);
  }

  /// Whole tensors that the configuration promises: modules_to_save and trained biases.
  void require_whole(const std::string& path, const BaseModule& module) {
    const bool target = targets_.contains(path);
    if (!target && matcher_.is_saved_whole(path)) {
      for (const Part part : {Part::Weight, Part::Bias}) {
        if ((part == Part::Bias && !module.has_bias) || has(path, part)) continue;
        target_finding("landing.missing_target", "saved", path,
                       fmt::format("modules_to_save lists this module, but the file lacks '{}'",
                                   peft_key(path, part)),
                       "PEFT stops with a KeyError; save the adapter again", 0);
      }
      return;
    }
    const bool trained =
        config_.bias == BiasMode::All || (config_.bias == BiasMode::LoraOnly && target);
    const Part part = target ? Part::BaseBias : Part::Bias;
    if (!trained || !module.has_bias || has(path, part)) return;
    target_finding("landing.missing_target", "bias", path,
                   fmt::format("the configuration trains this bias, but the file lacks '{}'",
                               peft_key(path, part)),
                   "older PEFT releases did not save it with bias=\"lora_only\"; save the adapter "
                   "again, or set bias to \"none\"",
                   0);
  }

  void report_unused_configuration() {
    report_unused_names(config_.target_modules.names, "target_modules");
    for (const auto& name : config_.modules_to_save) {
      const auto hit = [&](const std::string& path) { return path.ends_with(name); };
      const bool found =
          std::any_of(containers_.begin(), containers_.end(), hit) ||
          std::any_of(base_.begin(), base_.end(), [&](const auto& m) { return hit(m.first); });
      if (!found) missing_name(name, "modules_to_save");
    }
    for (const auto& name : config_.target_parameters) {
      const bool hit = std::ranges::any_of(targets_, [&](const std::string& path) {
        return path == name || path.ends_with("." + name);
      });
      if (!hit) missing_name(name, "target_parameters");
    }
    if (targets_.empty() && config_.target_parameters.empty() && config_.trained_tokens.empty() &&
        !findings_.has("landing.missing_target", "target_modules")) {
      target_finding("landing.missing_target", "none", "target_modules",
                     "the configuration adapts no module of this base",
                     "check target_modules, exclude_modules and layers_to_transform, and --base",
                     0);
    }
    report_unused_patterns(config_.rank_pattern, "rank_pattern",
                           [&](const std::string& path) { return matcher_.rank_key_of(path); });
    report_unused_patterns(config_.alpha_pattern, "alpha_pattern",
                           [&](const std::string& path) { return matcher_.alpha_key_of(path); });
  }

  void report_unused_names(const std::vector<std::string>& names, const char* field) {
    std::vector<std::string> unhit(names);
    std::sort(unhit.begin(), unhit.end());
    std::set<std::string_view> hit;
    const auto visit = [&](const std::string& path) {
      std::string_view tail = path;
      for (;;) {
        if (std::binary_search(unhit.begin(), unhit.end(), tail, std::less<>())) hit.insert(tail);
        const std::size_t dot = tail.find('.');
        if (dot == tail.npos) return;
        tail.remove_prefix(dot + 1);
      }
    };
    for (const auto& [path, module] : base_) visit(path);
    for (const auto& path : containers_) visit(path);
    for (const auto& name : names) {
      if (!hit.contains(name)) missing_name(name, field);
    }
  }

  void missing_name(const std::string& name, const char* field) {
    const std::string hint = findings_.has("landing.missing_target", field)
                                 ? std::string()
                                 : nearest_name_hint(name, base_);
    target_finding("landing.missing_target", field, name,
                   fmt::format("{} names '{}', which hits no module of this base", field, name),
                   hint, 0);
  }

  template <typename Patterns, typename KeyOf>
  void report_unused_patterns(const Patterns& patterns, const char* field, KeyOf key_of) {
    if (patterns.empty()) return;
    std::set<std::size_t> used;
    for (const auto& path : targets_) {
      if (const auto key = key_of(path)) used.insert(*key);
    }
    for (std::size_t i = 0; i < patterns.size(); ++i) {
      if (used.contains(i)) continue;
      findings_.add(
          {"landing.unused_pattern", field, patterns[i].first,
           fmt::format("'{}' in {} decides for no adapted module", patterns[i].first, field),
           "an earlier key may hide it (the first match in file order wins), or the name is "
           "misspelt",
           /*fail=*/false, static_cast<std::int64_t>(patterns.size()), "keys"});
    }
  }

  void build_modules() {
    for (const auto& [path, slots] : slots_) {
      PlacedModule placed;
      const auto take = [&slots = slots](Part part) {
        const auto slot = slots.find(part);
        return slot == slots.end() ? nullptr : slot->second.view;
      };
      const auto either = [&](Part first, Part second) {
        return take(first) != nullptr ? take(first) : take(second);
      };
      const bool embedding = base_.at(path).kind == BaseModule::Kind::Embedding;
      placed.lora_a = take(embedding ? Part::EmbeddingA : Part::LoraA);
      placed.lora_b = take(embedding ? Part::EmbeddingB : Part::LoraB);
      if (placed.lora_a == nullptr || placed.lora_b == nullptr) {
        placed.lora_a = placed.lora_b = nullptr;
      }
      if (placed.has_lora()) {
        placed.scale = matcher_.scale_of(path);
        placed.experts = base_.at(path).experts;
        placed.lora_bias = take(Part::LoraBBias);
        placed.magnitude = take(Part::Magnitude);
      }
      placed.token_rows = take(Part::TokenRows);
      if (placed.token_rows != nullptr) placed.tokens = tokens_of(path, base_.at(path));
      placed.weight = either(Part::Weight, Part::BaseWeight);
      placed.bias = either(Part::Bias, Part::BaseBias);
      result_.modules[path] = placed;
    }
    if (method_) method_->add_to(result_.modules);
    share_tied_weights();
    result_.modules_reached = static_cast<std::int64_t>(result_.modules.size());
  }

  /// A weight that PEFT copies into the base's own parameter reaches every module that shares it.
  void share_tied_weights() {
    for (const auto& [path, module] : base_) {
      if (module.tied_to.empty()) continue;
      const io::TensorView* mine = in_place_weight(path);
      const io::TensorView* other = in_place_weight(module.tied_to);
      if (mine != nullptr && other != nullptr) {
        if (same_values(*mine, *other)) continue;
        target_finding(
            "landing.duplicate_target", "tied", path,
            fmt::format("the base ties this weight to '{}', but the file replaces both by "
                        "different tensors",
                        module.tied_to),
            "PEFT keeps whichever it copies last; was the adapter trained on an untied base?", 0);
      } else if (mine != nullptr && !matcher_.is_saved_whole(module.tied_to)) {
        result_.modules[module.tied_to].weight = mine;
      } else if (other != nullptr && !matcher_.is_saved_whole(path)) {
        result_.modules[path].weight = other;
      }
    }
  }

  [[nodiscard]] const io::TensorView* in_place_weight(const std::string& path) const {
    if (matcher_.is_saved_whole(path)) return nullptr;
    const auto placed = result_.modules.find(path);
    return placed == result_.modules.end() ? nullptr : placed->second.weight;
  }

  const AdapterConfig& config_;
  const io::SafetensorsFile& file_;
  const BaseModules& base_;
  TargetMatcher matcher_;
  std::set<std::string> targets_;
  std::set<std::string> containers_;
  std::map<std::string, std::map<Part, Slot>> slots_;
  FindingList findings_;
  Placement result_;
  std::optional<MethodPlacer> method_;  // of another method than LoRA
};

}  // namespace

bool PlacementSummary::failed() const {
  return std::any_of(findings.begin(), findings.end(), [](const Finding& f) { return f.fail; });
}

Placement place(const AdapterConfig& config, const io::SafetensorsFile& file,
                const BaseModules& base) {
  return Placer(config, file, base).run();
}

}  // namespace loraproof::adapter
