// SPDX-License-Identifier: Apache-2.0
#include "loraproof/merge/resume.h"

#include <fstream>
#include <utility>

#include "loraproof/core/file.h"
#include "loraproof/core/json.h"
#include "loraproof/core/log.h"
#include "loraproof/io/digest.h"

namespace loraproof::merge {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kName = ".loraproof-merge.json";
constexpr std::string_view kSchema = "loraproof.merge_record/1";

// Doubles come back as they were: nlohmann-json prints as many digits as that takes.
Json to_json(const MergeSums& sums) {
  return Json::array({sums.elements, sums.changed, sums.undecided, sums.non_finite, sums.intended2,
                      sums.survived, sums.actual2, sums.base2, sums.inner, sums.summed2,
                      sums.scheme2});
}

MergeSums sums_from(const Json& json) {
  return {.elements = json.at(0),
          .changed = json.at(1),
          .undecided = json.at(2),
          .non_finite = json.at(3),
          .intended2 = json.at(4),
          .survived = json.at(5),
          .actual2 = json.at(6),
          .base2 = json.at(7),
          .inner = json.at(8),
          .summed2 = json.at(9),
          .scheme2 = json.at(10)};
}

Json to_json(const FileResult& file) {
  Json touched = Json::array();
  for (const TensorResult& tensor : file.touched)
    touched.push_back(
        {{"name", tensor.name}, {"module", tensor.module}, {"sums", to_json(tensor.sums)}});
  return {{"name", file.name},
          {"sha256", file.sha256},
          {"touched", std::move(touched)},
          {"base", file.base}};
}

FileResult file_from(const Json& json) {
  FileResult file{.name = json.at("name"),
                  .sha256 = json.at("sha256"),
                  .base = json.at("base").get<io::DigestByName>()};
  for (const Json& tensor : json.at("touched"))
    file.touched.push_back({tensor.at("name"), tensor.at("module"), sums_from(tensor.at("sums"))});
  return file;
}

}  // namespace

ResumeRecord::ResumeRecord(fs::path folder, Json job)
    : folder_(std::move(folder)), path_(folder_ / kName), job_(std::move(job)) {}

std::map<std::string, FileResult> ResumeRecord::read() const {
  std::error_code code;
  if (!fs::exists(path_, code)) return {};
  std::map<std::string, FileResult> files;
  try {
    const Json record = read_json_file(path_);
    if (record.at("schema") != kSchema || record.at("job") != job_) return {};
    for (const Json& json : record.at("files")) {
      FileResult file = file_from(json);
      files.emplace(file.name, std::move(file));
    }
  } catch (const std::exception& error) {
    log::note(std::string("the interrupted merge's record is ignored: ") + error.what());
    return {};
  }
  return files;
}

std::map<std::string, FileResult> ResumeRecord::take_over() {
  std::map<std::string, FileResult> files = read();
  std::erase_if(files, [&](const auto& item) {
    // A name from a file: never a path out of the folder.
    const fs::path name(item.first);
    const fs::path path = folder_ / name.filename();
    return name != name.filename() || !fs::is_regular_file(fs::symlink_status(path)) ||
           io::file_digest(MappedFile(path)) != item.second.sha256;
  });
  std::vector<fs::path> others;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    if (!files.contains(entry.path().filename().string())) others.push_back(entry.path());
  }
  for (const fs::path& path : others) {
    std::error_code code;
    fs::remove_all(path, code);
    if (code)
      throw input_error({.message = "cannot remove: " + code.message(), .file = path.string()});
  }
  for (const auto& [name, file] : files) files_.push_back(to_json(file));
  return files;
}

void ResumeRecord::add(const FileResult& file) {
  files_.push_back(to_json(file));
  const Json record = {{"schema", kSchema}, {"job", job_}, {"files", files_}};
  // Not flushed, which would hold the merge up at each file: what it says is checked when it is
  // read.
  const fs::path next = folder_ / (std::string(kName) + ".next");
  std::ofstream(next, std::ios::binary) << record.dump() << '\n';
  std::error_code ignored;
  fs::rename(next, path_, ignored);
}

void ResumeRecord::remove() {
  std::error_code ignored;
  fs::remove(path_, ignored);
}

}  // namespace loraproof::merge
