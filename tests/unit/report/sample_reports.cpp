// SPDX-License-Identifier: Apache-2.0
#include "unit/report/sample_reports.h"

#include <cmath>
#include <utility>

namespace loraproof::report::test {
namespace {

Report base_report() {
  Report report;
  report.tool = {
      .version = "0.1.0", .libtorch = "2.13.0", .device = "cpu", .compute = "bf16", .threads = 2};
  report.command = "validate";
  report.inputs = {{"base", "models/SmolLM2-135M-Instruct",
                    "sha256:5af571cbf074e6d21a03528d2330792e532ca608f24ac70a143f6b369968ab8c"},
                   {"adapter", "adapters/support",
                    "sha256:9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0"},
                   {"golden", "golden/suites/support", ""}};
  return report;
}

Check landed() {
  return {.id = "landing.summary",
          .status = Status::Pass,
          .severity = Severity::Info,
          .n = 420,
          .message = "420 tensors landed on 210 modules"};
}

Check golden_check(std::string id, double value, Limit limit) {
  return {.id = std::move(id),
          .subject = "support",
          .status = Status::Pass,
          .required = true,
          .value = value,
          .limit = limit,
          .n = 40,
          .message = "as recorded"};
}

Report pass_report() {
  Report report = base_report();
  report.checks = {
      landed(),
      {.id = "identity.base", .status = Status::Pass, .required = true, .message = "same digest"},
      {.id = "identity.tokenizer",
       .status = Status::Pass,
       .required = true,
       .message = "same digest"},
      golden_check("golden.text", 1.0, {.min = 0.95}),
      golden_check("golden.kl_prompt", 0.0030125, {.max = 0.015}),
      golden_check("golden.embedding_cosine", 0.99996, {.min = 0.99995}),
      {.id = "golden.expected",
       .subject = "support",
       .status = Status::Skipped,
       .required = true,
       .message = "the suite expects no answers"}};
  report.checks[4].interval = Interval{.low = 0.0028, .high = 0.0033};
  report.checks[4].smallest_effect = 0.00123;
  report.prompts = Json::array({{{"id", "p-001"}, {"adapter", "support"}, {"diverged", false}}});
  report.metrics = {{"support", {{"prompts", 40}, {"answer_tokens", 1280}}}};
  report.run = Json{{"sweep_s", 3.25}, {"bytes_read", 269060552}};
  return report;
}

Report fail_report() {
  Report report = base_report();
  Check kl = golden_check("golden.kl_answer", 0.69, {.max = 0.015});
  kl.status = Status::Fail;
  kl.interval = Interval{.low = 0.55, .high = 0.8315};
  kl.n = 1280;
  kl.message =
      "mean KL over 1280 answer positions of 40 prompts, floor 0.003: 0.69 is above the limit "
      "0.015 "
      "(a derived limit)";
  kl.hint =
      "a layer of the adapter may be missing or its scale wrong; the prompts below show where";
  Check close = golden_check("golden.embedding_cosine", 0.999949, {.min = 0.99995});
  close.status = Status::Fail;
  close.message = "mean over 40 prompts: 0.999949 is below the limit 0.99995";
  Check scale = {.id = "effect.scale",
                 .subject = "model.layers.3.mlp.down_proj",
                 .status = Status::Warn,
                 .severity = Severity::Warn,
                 .value = 1.25,
                 .limit = Limit{.max = 0.5},
                 .message = "1.25 is above the limit 0.5",
                 .hint = "compare use_rslora and lora_alpha with the training run"};
  report.checks = {landed(), scale, kl, close, golden_check("golden.text", 0.95, {.min = 0.95})};
  for (int layer = 28; layer < 30; ++layer) {
    const std::string module = "model.layers." + std::to_string(layer) + ".self_attn.q_proj";
    report.checks.push_back({.id = "landing.unused_tensor",
                             .subject = module + ".lora_A.weight",
                             .status = Status::Fail,
                             .required = true,
                             .message = "the base has no " + module,
                             .hint = "the base has 28 layers; is it the one it was trained on?"});
  }
  report.prompts = Json::array(
      {{{"id", "p-001"}, {"adapter", "support"}, {"diverged", false}},
       {{"id", "p-017"},
        {"adapter", "support"},
        {"diverged", true},
        {"first_divergence",
         {{"position", 5}, {"reference_token", "12"}, {"token", "13"}, {"margin", 0.8125}}},
        {"reference_text", "{\"amount\": 12,\n \"currency\": \"EUR\"}"},
        {"text", "{\"amount\": 13,\n \"currency\": \"EUR\"}"}}});
  report.metrics = {{"support", {{"prompts", 2}}}};
  return report;
}

Report inconclusive_report() {
  Report report = base_report();
  report.checks = {{.id = "golden.prompts",
                    .subject = "support",
                    .status = Status::Inconclusive,
                    .required = true,
                    .value = 8,
                    .n = 8,
                    .message = "only 8 of the 20 samples that are needed; 12 more",
                    .hint = "add prompts to the suite, or set golden.min_prompts"},
                   {.id = "golden.nll",
                    .subject = "support",
                    .status = Status::Inconclusive,
                    .required = true,
                    .value = std::nan(""),
                    .limit = Limit{.max = 0.005},
                    .message = "the value is not a number"},
                   golden_check("golden.text", 1.0, {.min = 0.95})};
  return report;
}

Report error_report() {
  Report report;
  report.tool = {.version = "0.1.0"};
  report.command = "validate";
  report.inputs = {{"adapter", "adapters/support", ""}};
  report.error = ReportError{.kind = ErrorKind::Input,
                             .detail = {.message = "the data is shorter than the header says",
                                        .file = "adapters/support/adapter_model.safetensors",
                                        .where = "model.layers.0.self_attn.q_proj.lora_A.weight",
                                        .expected = "9216 bytes from 4096",
                                        .found = "a file of 8192 bytes",
                                        .hint = "the download may have been cut; fetch it again"}};
  return report;
}

// Strings as a hostile file could hold them: escape sequences, line ends, a forged verdict, bytes
// that aren't UTF-8 and a direction override.
Report hostile_report() {
  Report report = base_report();
  report.inputs = {{"adapter", "dir\xff/\x1b[2Jname", ""}};
  report.checks = {{.id = "landing.unused_tensor",
                    .subject = "w\nverdict: pass",
                    .status = Status::Fail,
                    .required = true,
                    .value = INFINITY,
                    .message = "no base tensor \"\x80\xE2\x80\xAEtxet\" \xC3\xA9t\xC3\xA9"}};
  // Markup of the formats: table cells, HTML, mentions, links, CDATA, workflow commands, and
  // U+FFFE, which is valid UTF-8 and not allowed in XML.
  report.checks.push_back(
      {.id = "golden.text",
       .subject = "a|b`c`<b>&amp;\"'",
       .status = Status::Warn,
       .severity = Severity::Warn,
       .value = 0.5,
       .limit = Limit{.min = 0.95},
       .message = "@admin #1 [x](http://evil.test) **b** ]]>\n::error::forged%0A",
       .hint = "<script>alert(1)</script> \xEF\xBF\xBE \xEF\xBF\xBF"});
  report.prompts = Json::array({{{"id", "\r\x07"}, {"diverged", true}, {"text", ""}},
                                {{"id", "::warning::x"},
                                 {"diverged", true},
                                 {"reference_text", "</pre></details>@admin\n\n| a |"},
                                 {"text", "]]>\n```\n::error::forged"}}});
  return report;
}

}  // namespace

std::vector<SampleReport> sample_reports() {
  return {{"pass", pass_report()},
          {"fail", fail_report()},
          {"inconclusive", inconclusive_report()},
          {"error", error_report()},
          {"hostile", hostile_report()}};
}

}  // namespace loraproof::report::test
