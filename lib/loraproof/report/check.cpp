// SPDX-License-Identifier: Apache-2.0
#include "loraproof/report/check.h"

namespace loraproof::report {

std::string_view name_of(Status status) {
  switch (status) {
    case Status::Pass: return "pass";
    case Status::Warn: return "warn";
    case Status::Fail: return "fail";
    case Status::Inconclusive: return "inconclusive";
    case Status::Skipped: break;
  }
  return "skipped";
}

std::string_view name_of(Severity severity) {
  switch (severity) {
    case Severity::Error: return "error";
    case Severity::Warn: return "warn";
    case Severity::Info: break;
  }
  return "info";
}

}  // namespace loraproof::report
