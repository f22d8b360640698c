// SPDX-License-Identifier: Apache-2.0
#include "loraproof/quant/scheme.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "loraproof/core/error.h"
#include "loraproof/core/suggest.h"
#include "loraproof/quant/blockwise_4bit.h"
#include "loraproof/quant/cast.h"
#include "loraproof/quant/fp8_block.h"
#include "loraproof/quant/gguf.h"
#include "loraproof/quant/grouped_fp4.h"
#include "loraproof/quant/llm_int8.h"
#include "loraproof/quant/scaled.h"

namespace loraproof::quant {
namespace {

using Made = std::unique_ptr<Quantiser>;

template <FourBitType Type, bool Double>
Made four_bit(const Shape& shape) {
  return make_blockwise_4bit(shape, {.type = Type, .double_quantised = Double});
}

template <CodeType Codes, ScalePer Per, bool Packed = false>
Made scaled(const Shape& shape) {
  return make_scaled(shape, {.codes = Codes, .per = Per, .packed = Packed});
}

template <int Group, bool Symmetric>
Made int4(const Shape& shape) {
  return make_scaled(shape, {.codes = CodeType::Int4,
                             .per = ScalePer::Group,
                             .group = Group,
                             .symmetric = Symmetric,
                             .packed = true});
}

template <GgufType Type>
Made gguf(const Shape& shape) {
  return make_gguf(shape, Type);
}

template <io::DType Type>
Made cast(const Shape& shape) {
  return make_cast(shape, Type);
}

constexpr std::string_view kBitsandbytes = "bitsandbytes 0.50";
constexpr std::string_view kCompressed = "compressed-tensors 0.20";
constexpr std::string_view kTransformers = "transformers 5";
constexpr std::string_view kGgml = "ggml of llama.cpp";
constexpr std::string_view kTorch = "torch";

constexpr Skips kLinear = Skips::HeadAndEmbeddings;
constexpr Skips kGgufSkips = Skips::RoutersAndPositions;
constexpr Activations kWide = Activations::None;
constexpr std::array kSchemes = {
    Scheme{"nf4", kBitsandbytes, "4-bit NormalFloat, blocks of 64", kLinear, kWide,
           four_bit<FourBitType::Nf4, false>},
    Scheme{"nf4-dq", kBitsandbytes, "nf4 with 8-bit scales (double quantisation)", kLinear, kWide,
           four_bit<FourBitType::Nf4, true>},
    Scheme{"fp4", kBitsandbytes, "4-bit float, blocks of 64", kLinear, kWide,
           four_bit<FourBitType::Fp4, false>},
    Scheme{"fp4-dq", kBitsandbytes, "fp4 with 8-bit scales (double quantisation)", kLinear, kWide,
           four_bit<FourBitType::Fp4, true>},
    Scheme{"llm-int8", kBitsandbytes, "weights of LLM.int8(): int8 by rows, by way of F16", kLinear,
           Activations::Int8PerTokenAndOutliers, make_llm_int8},
    Scheme{"int8", kCompressed, "int8 by rows, symmetric (W8A16)", kLinear, kWide,
           scaled<CodeType::Int8, ScalePer::Row, true>},
    Scheme{"int8-w8a8", kCompressed, "int8 by rows, symmetric, with int8 inputs (INT8)", kLinear,
           Activations::Int8PerToken, scaled<CodeType::Int8, ScalePer::Row>},
    Scheme{"int4", kCompressed, "int4-g128 (W4A16_ASYM)", kLinear, kWide, int4<128, false>},
    Scheme{"int4-g32", kCompressed, "int4 with zero points, groups of 32", kLinear, kWide,
           int4<32, false>},
    Scheme{"int4-g64", kCompressed, "int4 with zero points, groups of 64", kLinear, kWide,
           int4<64, false>},
    Scheme{"int4-g128", kCompressed, "int4 with zero points, groups of 128", kLinear, kWide,
           int4<128, false>},
    Scheme{"int4-sym", kCompressed, "int4-g128-sym (W4A16)", kLinear, kWide, int4<128, true>},
    Scheme{"int4-g32-sym", kCompressed, "int4 symmetric, groups of 32", kLinear, kWide,
           int4<32, true>},
    Scheme{"int4-g64-sym", kCompressed, "int4 symmetric, groups of 64", kLinear, kWide,
           int4<64, true>},
    Scheme{"int4-g128-sym", kCompressed, "int4 symmetric, groups of 128", kLinear, kWide,
           int4<128, true>},
    Scheme{"fp8", kCompressed, "E4M3 by rows", kLinear, kWide,
           scaled<CodeType::E4m3, ScalePer::Row>},
    Scheme{"fp8-tensor", kCompressed, "E4M3, one scale for the tensor", kLinear, kWide,
           scaled<CodeType::E4m3, ScalePer::Tensor>},
    Scheme{"fp8-w8a8", kCompressed, "E4M3 by rows, with E4M3 inputs (FP8_DYNAMIC)", kLinear,
           Activations::E4m3PerToken, scaled<CodeType::E4m3, ScalePer::Row>},
    Scheme{"fp8-w8a8-static", kCompressed,
           "E4M3, one scale each for the tensor and its inputs (FP8)", kLinear,
           Activations::E4m3Static, scaled<CodeType::E4m3, ScalePer::Tensor>},
    Scheme{"fp8-block", kTransformers, "E4M3 by tiles of 128 x 128, with E4M3 inputs (DeepSeek)",
           kLinear, Activations::E4m3PerGroup, make_fp8_block, passed_over_by_fp8_block},
    Scheme{"mxfp4", kCompressed, "E2M1, groups of 32, scales are powers of two (MXFP4A16)", kLinear,
           kWide, make_mxfp4},
    Scheme{"nvfp4", kCompressed, "E2M1, groups of 16, E4M3 scales (NVFP4A16)", kLinear, kWide,
           make_nvfp4},
    Scheme{"q8_0", kGgml, "GGUF Q8_0 for every matrix", kGgufSkips, kWide, gguf<GgufType::Q8_0>},
    Scheme{"q6_k", kGgml, "GGUF Q6_K for every matrix", kGgufSkips, kWide, gguf<GgufType::Q6_K>},
    Scheme{"q5_k", kGgml, "GGUF Q5_K for every matrix", kGgufSkips, kWide, gguf<GgufType::Q5_K>},
    Scheme{"q5_1", kGgml, "GGUF Q5_1 for every matrix", kGgufSkips, kWide, gguf<GgufType::Q5_1>},
    Scheme{"q5_0", kGgml, "GGUF Q5_0 for every matrix", kGgufSkips, kWide, gguf<GgufType::Q5_0>},
    Scheme{"q4_k", kGgml, "GGUF Q4_K for every matrix", kGgufSkips, kWide, gguf<GgufType::Q4_K>},
    Scheme{"q4_1", kGgml, "GGUF Q4_1 for every matrix", kGgufSkips, kWide, gguf<GgufType::Q4_1>},
    Scheme{"q4_0", kGgml, "GGUF Q4_0 for every matrix", kGgufSkips, kWide, gguf<GgufType::Q4_0>},
    Scheme{"fp16", kTorch, "cast to F16", Skips::Nothing, kWide, cast<io::DType::F16>},
    Scheme{"bf16", kTorch, "cast to BF16", Skips::Nothing, kWide, cast<io::DType::BF16>},
};

// Last parts of module names among the families that loraproof reads.
constexpr std::array<std::string_view, 6> kHeadsAndEmbeddings = {
    "lm_head", "embed_out", "embed_tokens", "wte", "wpe", "embed_in"};
constexpr std::array<std::string_view, 2> kRouters = {"gate", "router"};
constexpr std::string_view kPositions = "wpe";

template <typename Names>
bool has(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

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
  const std::string_view last = module.substr(module.rfind('.') + 1);  // npos + 1 == 0
  switch (scheme.skips) {
    case Skips::HeadAndEmbeddings: return has(kHeadsAndEmbeddings, last) || has(kRouters, last);
    case Skips::RoutersAndPositions: return last == kPositions || has(kRouters, last);
    case Skips::Nothing: break;
  }
  return false;
}

}  // namespace loraproof::quant
