// SPDX-License-Identifier: Apache-2.0
#include "loraproof/merge/lineage.h"

#include <fmt/format.h>

#include "loraproof/core/json.h"
#include "loraproof/io/digest.h"

namespace loraproof::merge {
namespace {

constexpr const char* kFile = "merge.json";
constexpr std::string_view kFamily = "loraproof.merge/";
constexpr std::string_view kSchema = "loraproof.merge/1";

Json to_json(const MergedAdapter& adapter) {
  return {{"name", adapter.name},
          {"sha256", adapter.sha256},
          {"weight", adapter.weight},
          {"config", adapter.config}};
}

MergedAdapter adapter_from(const JsonObject& json) {
  MergedAdapter adapter{.name = json.string("name"),
                        .sha256 = json.string("sha256"),
                        .weight = json.number("weight")};
  const JsonObject config = json.object("config");
  for (const auto& [name, value] : config.json().items())
    adapter.config[name] = config.string(name);
  return adapter;
}

}  // namespace

Json to_json(const Lineage& lineage) {
  Json adapters = Json::array();
  for (const MergedAdapter& adapter : lineage.adapters) adapters.push_back(to_json(adapter));
  return {{"schema", kSchema},
          {"tool", {{"name", "loraproof"}, {"version", lineage.tool_version}}},
          {"base", {{"name", lineage.base_name}, {"sha256", lineage.base_sha256}}},
          {"adapters", std::move(adapters)},
          {"dtype", lineage.dtype},
          {"base_scheme", lineage.base_scheme},
          {"combine", lineage.combine},
          {"untied_head", lineage.untied_head},
          {"files", lineage.files}};
}

std::optional<Lineage> read_lineage(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kFile;
  if (!std::filesystem::exists(path)) return std::nullopt;
  const Json document = read_json_file(path);
  if (!document.is_object()) return std::nullopt;
  const JsonObject json(document, path.string());
  const auto schema = document.find("schema");
  if (schema == document.end() || !schema->is_string() ||
      !schema->get_ref<const std::string&>().starts_with(kFamily))
    return std::nullopt;
  if (*schema != kSchema) {
    throw json.error("schema", "a version that this program does not know", std::string(kSchema),
                     brief(*schema), "use the loraproof that merged it, or a newer one");
  }
  Lineage lineage{.tool_version = json.object("tool").string("version"),
                  .base_name = json.object("base").string("name"),
                  .base_sha256 = json.object("base").string("sha256"),
                  .dtype = json.string("dtype"),
                  .base_scheme = json.string("base_scheme"),
                  .combine = json.string("combine"),
                  .untied_head = json.boolean("untied_head")};
  const Json* adapters = json.find("adapters");
  if (adapters == nullptr || !adapters->is_array() || adapters->empty())
    throw json.error("adapters", "no list of adapters", "a list with at least one");
  for (std::size_t i = 0; i < adapters->size(); ++i) {
    lineage.adapters.push_back(
        adapter_from({(*adapters)[i], json.file(), fmt::format("/adapters/{}", i)}));
  }
  const JsonObject files = json.object("files");
  for (const auto& [name, digest] : files.json().items()) lineage.files[name] = files.string(name);
  return lineage;
}

std::optional<std::string> changed_file(const Lineage& lineage, const io::Checkpoint& checkpoint,
                                        Progress& progress) {
  std::map<std::string, std::string> missing = lineage.files;
  progress.begin("digests of the merged weights", std::ssize(checkpoint.files()), "files");
  std::optional<std::string> changed;
  for (const io::SafetensorsFile& file : checkpoint.files()) {
    const std::string name = file.file().path().filename().string();
    const auto named = lineage.files.find(name);
    if (named == lineage.files.end()) {
      changed = name + " is none of its files";
    } else if (io::file_digest(file.file()) != named->second) {
      changed = name + " has changed";
    }
    if (changed) break;
    missing.erase(name);
    progress.advance();
  }
  progress.end();
  if (!changed && !missing.empty()) changed = missing.begin()->first + " is not used";
  return changed;
}

}  // namespace loraproof::merge
