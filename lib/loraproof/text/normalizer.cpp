// SPDX-License-Identifier: Apache-2.0
#include "loraproof/text/normalizer.h"

#include <algorithm>

#include "loraproof/core/json.h"
#include "loraproof/text/component.h"
#include "loraproof/text/nfc.h"

namespace loraproof::text {

Normalizer Normalizer::from_json(const Json& node, std::string_view file) {
  Normalizer out;
  if (!node.is_null()) out.add(JsonObject(node, file, "/normalizer"), 0);
  return out;
}

void Normalizer::add(const JsonObject& component, int depth) {
  const std::string type = component.string("type");
  if (type == "Sequence" && depth < 8) {
    require_known_fields(component, {"normalizers"});
    for (const JsonObject& item : object_list(component, "normalizers")) add(item, depth + 1);
  } else if (type == "NFC") {
    require_known_fields(component, {});
    steps_.push_back({Kind::Nfc, "", ""});
  } else if (type == "Prepend") {
    require_known_fields(component, {"prepend"});
    steps_.push_back({Kind::Prepend, "", component.string("prepend")});
  } else if (type == "Replace") {
    require_known_fields(component, {"pattern", "content"});
    steps_.push_back({Kind::Replace, literal_pattern(component), component.string("content")});
  } else {
    throw unsupported_type(component, "NFC, Prepend, Replace, Sequence");
  }
}

std::string_view Normalizer::apply(std::string_view text, std::string& storage) const {
  const std::size_t limit = growth_limit(text.size());
  for (const Step& step : steps_) {
    std::string next;
    switch (step.kind) {
      case Kind::Nfc:
        if (is_surely_nfc(text)) continue;
        next = nfc(text);
        break;
      case Kind::Prepend:
        if (text.empty()) continue;
        require_length(step.content.size() + text.size(), limit);
        next = step.content;
        next.append(text);
        break;
      case Kind::Replace:
        if (text.find(step.pattern) == std::string_view::npos) continue;
        next = replace_all(text, step.pattern, step.content, limit);
        break;
    }
    storage = std::move(next);
    text = storage;
  }
  return text;
}

bool Normalizer::shifts_text() const {
  return std::any_of(steps_.begin(), steps_.end(),
                     [](const Step& s) { return s.kind != Kind::Nfc; });
}

}  // namespace loraproof::text
