// SPDX-License-Identifier: Apache-2.0
// Truth: what transformers' apply_chat_template writes (tests/oracles/chat_template_values.py).
#include "loraproof/commands/inputs.h"

#include <filesystem>
#include <string>

#include "support/catch.h"
#include "support/temp_dir.h"

namespace loraproof::commands {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = LORAPROOF_SOURCE_DIR;

TEST_CASE("a prompt of messages sees every special token that transformers gives a template") {
  const Json values = read_json_file(kRoot / "golden/values/chat_templates.json")["special_tokens"];
  REQUIRE(values["cases"].size() >= 15);
  golden::Suite suite;
  suite.prompts = {{.id = "p", .messages = values["messages"]}};
  for (const Json& entry : values["cases"]) {
    INFO(entry["name"]);
    const test::TempDir base;
    fs::copy(kRoot / "examples/demo-model/base/tokenizer.json", base.path());
    base.write("chat_template.jinja", values["template"].get<std::string>() + ".");
    for (const auto& [file, content] : entry["files"].items()) base.write(file, content.dump());
    const TextInput text = open_text(suite, base.path(), nullptr);
    REQUIRE(text.chat_template);
    const std::string wanted = entry["text"].get<std::string>() + ".";
    CHECK(text.chat_template->render(values["messages"], text.template_options) == wanted);
    CHECK(tokenise(suite, text).front() == text.tokenizer->encode(wanted, false));
  }
}

}  // namespace
}  // namespace loraproof::commands
