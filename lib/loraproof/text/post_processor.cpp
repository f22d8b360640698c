// SPDX-License-Identifier: Apache-2.0
#include "loraproof/text/post_processor.h"

#include "loraproof/core/json.h"
#include "loraproof/text/component.h"
#include "loraproof/text/tokenizer_document.h"

namespace loraproof::text {
namespace {

std::vector<std::int32_t> special_ids(const JsonObject& component, const JsonObject& special) {
  const std::string name = special.string("id");
  const JsonObject known = component.object("special_tokens");
  if (!known.has(name)) {
    throw special.error("id",
                        "the template uses a special token that special_tokens does not define",
                        "a key of " + component.pointer_to("special_tokens"), name);
  }
  const JsonObject token = known.object(name);
  const Json* list = token.find("ids");
  if (list == nullptr || !list->is_array())
    throw token.error("ids", "a list of ids is needed", "an array");
  std::vector<std::int32_t> out;
  for (const Json& id : *list) {
    if (!id.is_number_unsigned() ||
        id.get<std::uint64_t>() > static_cast<std::uint64_t>(kMaxTokenId)) {
      throw token.error("ids", "a token id cannot be used",
                        "integers from 0 to " + std::to_string(kMaxTokenId), brief(id));
    }
    out.push_back(id.get<std::int32_t>());
  }
  return out;
}

}  // namespace

PostProcessor PostProcessor::from_json(const Json& node, std::string_view file) {
  PostProcessor out;
  if (!node.is_null()) out.add(JsonObject(node, file, "/post_processor"), 0);
  return out;
}

void PostProcessor::add(const JsonObject& component, int depth) {
  const std::string type = component.string("type");
  if (type == "Sequence" && depth < 8) {
    require_known_fields(component, {"processors"});
    for (const JsonObject& item : object_list(component, "processors")) add(item, depth + 1);
  } else if (type == "ByteLevel") {
    require_known_fields(component, {"add_prefix_space", "trim_offsets", "use_regex"});
  } else if (type == "TemplateProcessing") {
    if (has_template_) {
      throw component.error("type", "a second TemplateProcessing is not supported", "one at most");
    }
    add_template(component);
  } else {
    throw unsupported_type(component, "ByteLevel, TemplateProcessing, Sequence");
  }
}

void PostProcessor::add_template(const JsonObject& component) {
  // The ByteLevel options stand in some published files here and have no meaning.
  require_known_fields(component, {"single", "pair", "special_tokens", "add_prefix_space",
                                   "trim_offsets", "use_regex"});
  has_template_ = true;
  bool has_text = false;
  for (const JsonObject& item : object_list(component, "single")) {
    require_known_fields(item, {"SpecialToken", "Sequence"});
    if (item.has("SpecialToken")) {
      template_.push_back({false, special_ids(component, item.object("SpecialToken"))});
      continue;
    }
    const JsonObject sequence = item.object("Sequence");
    if (sequence.string("id") != "A") {
      throw sequence.error("id", "the template for one text names another text", "A",
                           sequence.string("id"));
    }
    if (has_text) throw sequence.error("id", "the template for one text names it twice", "once");
    has_text = true;
    template_.push_back({true, {}});
  }
}

std::vector<std::int32_t> PostProcessor::apply(std::vector<std::int32_t> ids,
                                               bool add_special_tokens) const {
  if (!has_template_) return ids;
  std::vector<std::int32_t> out;
  out.reserve(ids.size() + 4);
  for (const Piece& piece : template_) {
    if (piece.text) {
      out.insert(out.end(), ids.begin(), ids.end());
    } else if (add_special_tokens) {
      out.insert(out.end(), piece.ids.begin(), piece.ids.end());
    }
  }
  return out;
}

}  // namespace loraproof::text
