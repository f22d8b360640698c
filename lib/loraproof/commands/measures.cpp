// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/measures.h"

#include <utility>

namespace loraproof::commands {

report::Measure passed(std::string id, std::string message) {
  return {.id = std::move(id), .message = std::move(message), .outcome = report::Outcome::Pass};
}

report::Measure skipped(std::string id, std::string message) {
  return {.id = std::move(id), .message = std::move(message), .outcome = report::Outcome::Skipped};
}

void append(Measures& measures, Measures more) {
  for (report::Measure& measure : more) measures.push_back(std::move(measure));
}

Measures with_subject(Measures measures, const std::string& name) {
  for (report::Measure& measure : measures) {
    measure.subject = measure.subject.empty() ? name : name + ": " + measure.subject;
  }
  return measures;
}

}  // namespace loraproof::commands
