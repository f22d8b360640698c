// SPDX-License-Identifier: Apache-2.0
#include "loraproof/quant/scheme.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "loraproof/core/error.h"
#include "loraproof/core/suggest.h"
#include "loraproof/quant/blockwise_4bit.h"

namespace loraproof::quant {
namespace {

using Made = std::unique_ptr<Quantiser>;

template <FourBitType Type, bool Double>
Made four_bit(const Shape& shape) {
  return make_blockwise_4bit(shape, {.type = Type, .double_quantised = Double});
}

constexpr std::string_view kBitsandbytes = "bitsandbytes 0.50";

constexpr Skips kLinear = Skips::HeadAndEmbeddings;
constexpr std::array kSchemes = {
    Scheme{"nf4", kBitsandbytes, "4-bit NormalFloat, blocks of 64", kLinear,
           four_bit<FourBitType::Nf4, false>},
    Scheme{"fp4", kBitsandbytes, "4-bit float, blocks of 64", kLinear,
           four_bit<FourBitType::Fp4, false>},
    Scheme{"nf4-dq", kBitsandbytes, "nf4 with 8-bit scales (double quantisation)", kLinear,
           four_bit<FourBitType::Nf4, true>},
    Scheme{"fp4-dq", kBitsandbytes, "fp4 with 8-bit scales (double quantisation)", kLinear,
           four_bit<FourBitType::Fp4, true>},
};

// Names of output heads and embeddings among the families that loraproof reads.
constexpr std::array<std::string_view, 6> kHeadsAndEmbeddings = {
    "lm_head", "embed_out", "embed_tokens", "wte", "wpe", "embed_in"};

}  // namespace

std::span<const Scheme> schemes() { return kSchemes; }

const Scheme& find_scheme(std::string_view name) {
  for (const Scheme& scheme : kSchemes)
    if (scheme.name == name) return scheme;
  std::vector<std::string> names;
  std::string all;
  for (const Scheme& scheme : kSchemes) {
    names.emplace_back(scheme.name);
    all += (all.empty() ? "" : ", ") + names.back();
  }
  const std::string nearest = nearest_name(name, names);
  throw usage_error({.message = "unknown quantisation scheme",
                     .expected = all,
                     .found = "'" + std::string(name) + "'",
                     .hint = nearest.empty() ? "" : "did you mean '" + nearest + "'?"});
}

bool skips_by_default(const Scheme& scheme, std::string_view module) {
  if (scheme.skips == Skips::Nothing) return false;
  const std::string_view last = module.substr(module.rfind('.') + 1);  // npos + 1 == 0
  return std::find(kHeadsAndEmbeddings.begin(), kHeadsAndEmbeddings.end(), last) !=
         kHeadsAndEmbeddings.end();
}

}  // namespace loraproof::quant
