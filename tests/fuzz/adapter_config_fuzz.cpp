// SPDX-License-Identifier: Apache-2.0
// Any bytes as adapter_config.json; what is accepted is matched against module names, and the bytes
// also serve as a pattern, a module path and a tensor key.
#include <string>
#include <string_view>

#include "fuzz/fuzz.h"
#include "loraproof/adapter/config.h"
#include "loraproof/adapter/keys.h"
#include "loraproof/adapter/target_match.h"
#include "loraproof/core/json.h"

namespace {

using loraproof::adapter::AdapterConfig;
using loraproof::adapter::AdapterKey;
using loraproof::adapter::TargetMatcher;
using loraproof::fuzz::fuzz_check;
using loraproof::fuzz::only_input_errors;

void check_matching(const AdapterConfig& config) {
  only_input_errors([&] {
    const TargetMatcher matcher(config);
    for (const char* path : {"model.layers.10.self_attn.q_proj", "lm_head", "model.layers"}) {
      (void)matcher.verdict(path, nullptr);
      (void)matcher.is_saved_whole(path);
      fuzz_check(matcher.rank_of(path) >= 1, "ranks are positive");
      (void)matcher.scale_of(path);
    }
  });
}

void check_key(std::string_view text) {
  const AdapterKey key = loraproof::adapter::parse_key(text);
  fuzz_check(key.module.size() <= text.size(), "a module path is part of its key");
  const bool round_trip = key.dialect == loraproof::adapter::Dialect::Peft;
  if (round_trip) {
    fuzz_check(loraproof::adapter::peft_key(key.module, key.part) == text,
               "PEFT keys are written back");
  }
}

}  // namespace

namespace loraproof::fuzz {

Corpus corpus() {
  return {.seeds =
              {R"({"peft_type":"LORA","r":8,"lora_alpha":16,"target_modules":["q_proj","v_proj"],)"
               R"("rank_pattern":{"^model\\.layers\\.0\\.":4},"alpha_pattern":{"(q|v)_proj":2},)"
               R"("layers_to_transform":[0,10],"layers_pattern":"layers","bias":"all"})",
               R"({"peft_type":"LORA","target_modules":".*\\.(?P<n>q|k)_proj(?<!x)[a-z]?",)"
               R"("exclude_modules":".*(?:layers)\\.\\d{1,2}\\..*","modules_to_save":["lm_head"]})",
               "base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight"},
          .dictionary = {"\"target_modules\":",
                         "\"peft_type\": \"OFT\"",
                         "\"peft_type\": \"LOKR\"",
                         "\"peft_type\": \"IA3\"",
                         "\"feedforward_modules\":",
                         "\"oft_block_size\":",
                         "\"all-linear\"",
                         "\"exclude_modules\":",
                         "(?",
                         "(?i)",
                         "(?P<a>",
                         "(?P=a)",
                         "(?(1)",
                         "\\\\d",
                         "\\\\Z",
                         "{,3}",
                         "{2,}",
                         "[^",
                         "(a+)+$",
                         "*",
                         "|",
                         "null",
                         "true",
                         "-1",
                         "1e999",
                         ".lora_B.weight",
                         ".modules_to_save.",
                         "base_model.model."}};
}

}  // namespace loraproof::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = loraproof::fuzz::as_text(data, size);
  only_input_errors([&] {
    const loraproof::Json document = loraproof::parse_json(text, "fuzz");
    const AdapterConfig config = loraproof::adapter::parse_adapter_config(document, "fuzz");
    fuzz_check(config.r >= 1, "ranks are positive");
    check_matching(config);
  });
  only_input_errors([&] {
    const loraproof::Json document = loraproof::parse_json(text, "fuzz");
    const AdapterConfig config =
        loraproof::adapter::parse_adapter_config(document, "fuzz", loraproof::adapter::Use::Merge);
    fuzz_check(config.r >= 1, "ranks are positive");
    check_matching(config);
  });
  only_input_errors([&] {
    const loraproof::adapter::PythonRegex regex(text, {"fuzz", "/target_modules"});
    (void)regex.full_match("model.layers.10.self_attn.q_proj");
    (void)regex.match("lm_head");
  });
  check_key(text);
  return 0;
}
