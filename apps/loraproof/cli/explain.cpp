// SPDX-License-Identifier: Apache-2.0
#include "loraproof/report/explain.h"

#include <map>
#include <memory>

#include "cli/cli.h"
#include "loraproof/core/json.h"

namespace loraproof::cli {

PrintCommand add_explain(CLI::App& app) {
  struct Flags {
    std::string id;
    bool all = false;
    std::string format = "text";
  };
  auto flags = std::make_shared<Flags>();
  CLI::Option* id = app.add_option("id", flags->id,
                                   "A check (golden.text), a setting (golden.min_prompts) or a "
                                   "family (golden.); without it, a list of all")
                        ->type_name("ID");
  app.add_flag("--all", flags->all, "Everything about every check and setting")->excludes(id);
  app.add_option("--format", flags->format, "Format of what is printed")
      ->check(CLI::IsMember({"text", "json", "markdown"}))
      ->capture_default_str();
  return [flags] {
    static const std::map<std::string, report::ExplainFormat> kFormats = {
        {"text", report::ExplainFormat::Text},
        {"json", report::ExplainFormat::Json},
        {"markdown", report::ExplainFormat::Markdown}};
    const report::RuleTable table = commands::rule_table();
    const report::Topic topic =
        flags->all ? report::whole_table(table) : report::find_topic(table, flags->id);
    return report::explain(topic, kFormats.at(flags->format));
  };
}

}  // namespace loraproof::cli
