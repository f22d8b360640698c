// SPDX-License-Identifier: Apache-2.0
#include "loraproof/adapter/method_config.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <string>
#include <vector>

#include "loraproof/adapter/config_fields.h"
#include "loraproof/core/json.h"
#include "loraproof/core/suggest.h"

namespace loraproof::adapter {
namespace {

constexpr std::int64_t kMostBlocks = 1 << 24;
constexpr std::int64_t kMostTerms = 64;    // PEFT's default is 5; the powers vanish long before
constexpr std::int64_t kMostFactors = 32;  // each doubles the width that is mixed

struct MethodRow {
  Method method;
  std::string_view name;
  std::vector<std::string_view> fields;  // beside kCommon
};

// Of every method; those of PeftConfig itself, and the choice of modules.
constexpr std::array<std::string_view, 11> kCommon = {"peft_type",
                                                      "target_modules",
                                                      "exclude_modules",
                                                      "modules_to_save",
                                                      "base_model_name_or_path",
                                                      "revision",
                                                      "peft_version",
                                                      "task_type",
                                                      "inference_mode",
                                                      "auto_mapping",
                                                      "runtime_config"};

// peft 0.21.2 tuners/*/config.py. Dropout and initialisation mean nothing once there are tensors.
const std::vector<MethodRow>& rows() {
  static const std::vector<MethodRow> kRows = {
      {Method::Lora, "LORA", {}},
      {Method::Ia3, "IA3", {"feedforward_modules", "fan_in_fan_out", "init_ia3_weights"}},
      {Method::Loha,
       "LOHA",
       {"r", "alpha", "rank_pattern", "alpha_pattern", "layers_to_transform", "layers_pattern",
        "use_effective_conv2d", "rank_dropout", "module_dropout", "init_weights"}},
      {Method::Lokr,
       "LOKR",
       {"r", "alpha", "rank_pattern", "alpha_pattern", "layers_to_transform", "layers_pattern",
        "use_effective_conv2d", "decompose_both", "decompose_factor", "rank_dropout",
        "rank_dropout_scale", "module_dropout", "init_weights"}},
      {Method::Vera,
       "VERA",
       {"r", "projection_prng_key", "save_projection", "vera_dropout", "d_initial",
        "fan_in_fan_out", "bias", "init_weights", "layers_to_transform", "layers_pattern"}},
      {Method::Oft,
       "OFT",
       {"r", "oft_block_size", "module_dropout", "fan_in_fan_out", "bias", "init_weights",
        "layers_to_transform", "layers_pattern", "coft", "eps", "block_share", "use_cayley_neumann",
        "num_cayley_neumann_terms"}},
      {Method::Boft,
       "BOFT",
       {"boft_block_size", "boft_block_num", "boft_n_butterfly_factor", "boft_dropout",
        "fan_in_fan_out", "bias", "init_weights", "layers_to_transform", "layers_pattern"}}};
  return kRows;
}

const MethodRow& row_of(Method method) {
  return *std::ranges::find(rows(), method, &MethodRow::method);
}

std::int64_t bounded(const JsonObject& config, std::string_view key, std::int64_t fallback,
                     std::int64_t least, std::int64_t most) {
  const std::int64_t value = config.integer_or(key, fallback);
  if (value >= least && value <= most) return value;
  throw config.error(key, "the value is out of range", fmt::format("{} to {}", least, most),
                     fmt::format("{}", value));
}

// PEFT wants one of the two and derives the other.
void expect_one(const JsonObject& config, std::string_view first, std::int64_t first_value,
                std::string_view second, std::int64_t second_value) {
  if ((first_value != 0) != (second_value != 0)) return;
  throw config.error(first,
                     fmt::format("one of {} and {} must be set, and one only", first, second),
                     "one of the two is 0", fmt::format("{} and {}", first_value, second_value),
                     "PEFT refuses this configuration as well");
}

// "0.18.1", "0.18.0.rc0", "0.17.2.dev0@9c1b": at least major.minor.
bool is_from(std::string_view version, int major, int minor) {
  int found[2] = {0, 0};
  const char* at = version.data();
  const char* const end = at + version.size();
  for (int& part : found) {
    const auto [next, failed] = std::from_chars(at, end, part);
    if (failed != std::errc()) return false;
    at = next < end && *next == '.' ? next + 1 : next;
  }
  return found[0] > major || (found[0] == major && found[1] >= minor);
}

void read_oft(const JsonObject& config, MethodSettings& settings) {
  if (!config.has("oft_block_size")) {
    throw config.error("oft_block_size",
                       "the field is missing, so the adapter is of PEFT before 0.14, whose OFT was "
                       "another method",
                       "an integer", "", "PEFT 0.13 can merge it");
  }
  settings.oft_blocks = bounded(config, "r", 0, 0, kMostBlocks);
  settings.oft_block_size = bounded(config, "oft_block_size", 0, 0, kMostBlocks);
  expect_one(config, "r", settings.oft_blocks, "oft_block_size", settings.oft_block_size);
  settings.block_share = config.boolean_or("block_share", false);
  settings.coft = config.boolean_or("coft", false);
  settings.coft_eps = config.number_or("eps", settings.coft_eps);
  if (settings.coft && !(settings.coft_eps >= 0 && std::isfinite(settings.coft_eps))) {
    throw config.error("eps", "the value is out of range", "a number of 0 and up",
                       brief(*config.find("eps")));
  }
  const std::int64_t terms = bounded(config, "num_cayley_neumann_terms", 5, 0, kMostTerms);
  if (!config.boolean_or("use_cayley_neumann", true)) return;
  settings.neumann_terms = terms;
  const std::string version = config.string_or("peft_version", "");
  if (is_from(version, 0, 18)) return;
  throw config.error("use_cayley_neumann",
                     "PEFT 0.18 changed the series, and this adapter was saved by an older release",
                     "peft_version 0.18 or newer", version.empty() ? "none" : version,
                     "PEFT 0.17 can merge it");
}

void read_boft(const JsonObject& config, MethodSettings& settings) {
  settings.boft_block_size = bounded(config, "boft_block_size", 4, 0, kMostBlocks);
  settings.boft_blocks = bounded(config, "boft_block_num", 0, 0, kMostBlocks);
  settings.butterfly_factors = bounded(config, "boft_n_butterfly_factor", 1, 1, kMostFactors);
  expect_one(config, "boft_block_size", settings.boft_block_size, "boft_block_num",
             settings.boft_blocks);
}

}  // namespace

std::string_view name_of(Method method) { return row_of(method).name; }

std::optional<Method> method_named(std::string_view peft_type) {
  const auto row = std::ranges::find(rows(), peft_type, &MethodRow::name);
  if (row == rows().end()) return std::nullopt;
  return row->method;
}

void refuse_unknown_fields(const JsonObject& config, Method method) {
  std::vector<std::string> known(kCommon.begin(), kCommon.end());
  const MethodRow& row = row_of(method);
  known.insert(known.end(), row.fields.begin(), row.fields.end());
  for (const auto& [field, value] : config.json().items()) {
    if (std::ranges::find(known, field) != known.end() || is_off(value)) continue;
    const std::string near = nearest_name(field, known);
    throw config.error(
        field,
        fmt::format("the field '{:.80}' is none of {}'s, so it may change what the adapter does",
                    field, row.name),
        fmt::format("a field of a {} adapter_config.json of PEFT 0.21 or older, or an empty value",
                    row.name),
        brief(value),
        near.empty() ? "remove the field if it only mattered in training"
                     : fmt::format("did you mean '{}'?", near));
  }
}

MethodSettings read_method_settings(const JsonObject& config, Method method) {
  MethodSettings settings;
  switch (method) {
    case Method::Lora:
    case Method::Ia3: break;
    case Method::Loha:
      settings.effective_conv = config.boolean_or("use_effective_conv2d", false);
      break;
    case Method::Lokr:
      settings.effective_conv = config.boolean_or("use_effective_conv2d", false);
      settings.decompose_both = config.boolean_or("decompose_both", false);
      settings.decompose_factor = bounded(config, "decompose_factor", -1, -1, kMostBlocks);
      break;
    case Method::Vera:
      if (config.boolean_or("save_projection", true)) break;
      throw config.error("save_projection",
                         "the file lacks the projections, which PEFT then draws again from a seed: "
                         "other machines and releases may draw others",
                         "true", "false",
                         "merge it with PEFT where it was trained, or train with "
                         "save_projection=True");
    case Method::Oft: read_oft(config, settings); break;
    case Method::Boft: read_boft(config, settings); break;
  }
  return settings;
}

}  // namespace loraproof::adapter
