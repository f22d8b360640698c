// SPDX-License-Identifier: Apache-2.0
// What a merge leaves beside its finished files while it runs, so that another run can go on.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "loraproof/core/json.h"
#include "loraproof/merge/write.h"

namespace loraproof::merge {

/// The record of one run in its folder; removed before the folder gets its name.
class ResumeRecord {
 public:
  /// `job`: everything that decides the bytes of the output. A record of another job is ignored.
  ResumeRecord(std::filesystem::path folder, Json job);

  /// Files of an interrupted run of this job that are there whole: their digests are taken anew.
  /// Every other file in the folder is removed. Input Error where that fails or a file can't be
  /// read; a damaged record counts as none.
  [[nodiscard]] std::map<std::string, FileResult> take_over();
  /// Adds a file that was written.
  void add(const FileResult& file);
  void remove();

 private:
  [[nodiscard]] std::map<std::string, FileResult> read() const;

  std::filesystem::path folder_, path_;
  Json job_;
  Json files_ = Json::array();
};

}  // namespace loraproof::merge
