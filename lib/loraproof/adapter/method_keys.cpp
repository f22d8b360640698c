// SPDX-License-Identifier: Apache-2.0
#include "loraproof/adapter/method_keys.h"

#include <algorithm>
#include <array>

namespace loraproof::adapter {
namespace {

constexpr std::string_view kModel = "base_model";
constexpr std::string_view kPrefix = "base_model.model.";

struct PartRow {
  MethodPart part;
  Method method;
  std::string_view suffix;
};
// No suffix ends with another one of its method.
constexpr std::array kParts = {
    PartRow{MethodPart::Ia3L, Method::Ia3, ".ia3_l"},
    PartRow{MethodPart::HadaW1A, Method::Loha, ".hada_w1_a"},
    PartRow{MethodPart::HadaW1B, Method::Loha, ".hada_w1_b"},
    PartRow{MethodPart::HadaW2A, Method::Loha, ".hada_w2_a"},
    PartRow{MethodPart::HadaW2B, Method::Loha, ".hada_w2_b"},
    PartRow{MethodPart::HadaT1, Method::Loha, ".hada_t1"},
    PartRow{MethodPart::HadaT2, Method::Loha, ".hada_t2"},
    PartRow{MethodPart::LokrW1, Method::Lokr, ".lokr_w1"},
    PartRow{MethodPart::LokrW1A, Method::Lokr, ".lokr_w1_a"},
    PartRow{MethodPart::LokrW1B, Method::Lokr, ".lokr_w1_b"},
    PartRow{MethodPart::LokrW2, Method::Lokr, ".lokr_w2"},
    PartRow{MethodPart::LokrW2A, Method::Lokr, ".lokr_w2_a"},
    PartRow{MethodPart::LokrW2B, Method::Lokr, ".lokr_w2_b"},
    PartRow{MethodPart::LokrT2, Method::Lokr, ".lokr_t2"},
    PartRow{MethodPart::VeraLambdaB, Method::Vera, ".vera_lambda_b"},
    PartRow{MethodPart::VeraLambdaD, Method::Vera, ".vera_lambda_d"},
    PartRow{MethodPart::VeraA, Method::Vera, ".vera_A"},
    PartRow{MethodPart::VeraB, Method::Vera, ".vera_B"},
    PartRow{MethodPart::OftR, Method::Oft, ".oft_R.weight"},
    PartRow{MethodPart::OftEmbeddingR, Method::Oft, ".oft_embedding_R.weight"},
    PartRow{MethodPart::BoftR, Method::Boft, ".boft_R"},
    PartRow{MethodPart::BoftS, Method::Boft, ".boft_s"}};

bool is_shared(MethodPart part) { return part == MethodPart::VeraA || part == MethodPart::VeraB; }

}  // namespace

std::optional<MethodKey> parse_method_key(std::string_view key, Method method) {
  for (const PartRow& row : kParts) {
    if (row.method != method || !key.ends_with(row.suffix)) continue;
    const std::string_view stem = key.substr(0, key.size() - row.suffix.size());
    if (is_shared(row.part)) {
      if (stem == kModel) return MethodKey{"", row.part};
    } else if (stem.starts_with(kPrefix)) {
      return MethodKey{std::string(stem.substr(kPrefix.size())), row.part};
    }
  }
  return std::nullopt;
}

std::string method_key(std::string_view module, MethodPart part) {
  const PartRow& row = *std::ranges::find(kParts, part, &PartRow::part);
  std::string key(is_shared(part) ? kModel : kPrefix);
  key += module;
  key += row.suffix;
  return key;
}

}  // namespace loraproof::adapter
