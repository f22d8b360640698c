// SPDX-License-Identifier: Apache-2.0
#include "loraproof/adapter/method_shapes.h"

#include <algorithm>
#include <fmt/format.h>
#include <functional>
#include <numeric>

#include "loraproof/adapter/tensor_values.h"

namespace loraproof::adapter {
namespace {

using Shape = std::vector<std::int64_t>;
using Kind = BaseModule::Kind;

std::int64_t kernel_size(const BaseModule& module) {
  return std::accumulate(module.kernel.begin(), module.kernel.end(), std::int64_t{1},
                         std::multiplies<>());
}

// [R, R, height, width]; of a 1-D convolution the width is 1.
Shape core_shape(const BaseModule& module, std::int64_t rank) {
  Shape shape = {rank, rank};
  shape.insert(shape.end(), module.kernel.begin(), module.kernel.end());
  if (module.kernel.size() == 1) shape.push_back(1);
  return shape;
}

// A convolution whose kernel is more than a point, with factors of its own for it.
bool has_core(const AdapterConfig& config, const BaseModule& module) {
  return config.settings.effective_conv && kernel_size(module) > 1;
}

ExpectedTensors loha(const AdapterConfig& config, const BaseModule& module, std::int64_t rank) {
  using enum MethodPart;
  if (has_core(config, module)) {
    const Shape core = core_shape(module, rank), out = {rank, module.out}, in = {rank, module.in};
    return {{{HadaT1, core},
             {HadaW1A, out},
             {HadaW1B, in},
             {HadaT2, core},
             {HadaW2A, out},
             {HadaW2B, in}},
            ""};
  }
  const Shape out = {module.out, rank}, in = {rank, module.in * kernel_size(module)};
  return {{{HadaW1A, out}, {HadaW1B, in}, {HadaW2A, out}, {HadaW2B, in}}, ""};
}

ExpectedTensors lokr(const AdapterConfig& config, const BaseModule& module, std::int64_t rank) {
  using enum MethodPart;
  const auto [o1, o2] = two_factors(module.out, config.settings.decompose_factor);
  const auto [i1, i2] = two_factors(module.in, config.settings.decompose_factor);
  ExpectedTensors expected;
  if (config.settings.decompose_both && 2 * rank < std::max(o1, i1)) {
    expected.shapes = {{LokrW1A, {o1, rank}}, {LokrW1B, {rank, i1}}};
  } else {
    expected.shapes = {{LokrW1, {o1, i1}}};
  }
  if (2 * rank >= std::max(o2, i2)) {
    if (module.kernel.size() == 1) {
      // torch.kron lines the dimensions up from the right: the kernel would meet the inputs.
      return {{}, "PEFT mixes up kernel and inputs of a 1-D convolution with a whole lokr_w2"};
    }
    Shape whole = {o2, i2};
    whole.insert(whole.end(), module.kernel.begin(), module.kernel.end());
    expected.shapes.emplace_back(LokrW2, whole);
  } else if (has_core(config, module)) {
    expected.shapes.emplace_back(LokrT2, core_shape(module, rank));
    expected.shapes.emplace_back(LokrW2A, Shape{rank, o2});
    expected.shapes.emplace_back(LokrW2B, Shape{rank, i2});
  } else {
    expected.shapes.emplace_back(LokrW2A, Shape{o2, rank});
    expected.shapes.emplace_back(LokrW2B, Shape{rank, i2 * kernel_size(module)});
  }
  return expected;
}

ExpectedTensors oft(const AdapterConfig& config, const BaseModule& module) {
  const MethodSettings& settings = config.settings;
  const bool by_blocks = settings.oft_blocks != 0;
  const std::int64_t given =
      nearest_divisor(module.in, by_blocks ? settings.oft_blocks : settings.oft_block_size);
  const std::int64_t other = module.in / given;
  const std::int64_t blocks = by_blocks ? given : other, size = by_blocks ? other : given;
  const bool embedding = module.kind == Kind::Embedding;
  return {{{embedding ? MethodPart::OftEmbeddingR : MethodPart::OftR,
            {settings.block_share ? 1 : blocks, size * (size - 1) / 2}}},
          ""};
}

ExpectedTensors boft(const AdapterConfig& config, const BaseModule& module) {
  const MethodSettings& settings = config.settings;
  const bool by_blocks = settings.boft_blocks != 0;
  const std::int64_t given = by_blocks ? settings.boft_blocks : settings.boft_block_size;
  const std::int64_t factors = settings.butterfly_factors;
  // Factor i mixes 2^i blocks, half of each with half of another.
  const std::int64_t widest = std::int64_t{1} << (factors - 1);
  const std::int64_t other = module.in % given == 0 ? module.in / given : 0;
  const std::int64_t blocks = by_blocks ? given : other, size = by_blocks ? other : given;
  const bool even = size % 2 == 0 && blocks % 2 == 0;
  if (other == 0 || (factors > 1 && (blocks % widest != 0 || !even))) {
    return {{},
            fmt::format("its {} inputs can't be cut into these blocks for {} butterfly factors",
                        module.in, factors)};
  }
  return {
      {{MethodPart::BoftR, {factors, blocks, size, size}}, {MethodPart::BoftS, {module.out, 1}}},
      ""};
}

// What PEFT raises an error for, and what is not merged yet.
std::string layer_problem(const AdapterConfig& config, const BaseModule& module) {
  const std::string_view name = name_of(config.method);
  const bool lycoris = config.method == Method::Loha || config.method == Method::Lokr;
  if (module.kind == Kind::Embedding && config.method != Method::Oft)
    return fmt::format("{} does not adapt embeddings", name);
  if (module.kind == Kind::Conv && !lycoris)
    return fmt::format("convolutions are not supported with {} yet", name);
  if (module.kernel.size() > 2) return fmt::format("{} takes kernels of 1 or 2 dimensions", name);
  const bool conv1d = config.method == Method::Ia3 || config.method == Method::Vera;
  if (module.transposed && !conv1d)
    return fmt::format("{} does not adapt layers that are stored as [in, out]", name);
  return "";
}

bool is_all(const io::TensorView& view, double wanted) {
  return std::ranges::all_of(values_of(view), [&](double value) { return value == wanted; });
}

// Blocks [n, b, b] that are their own transposes: the skew part, and so the rotation, is nothing.
bool is_symmetric(const io::TensorView& view) {
  const std::vector<double> values = values_of(view);
  const auto size = static_cast<std::size_t>(view.shape.back());
  for (std::size_t first = 0; first < values.size(); first += size * size) {
    for (std::size_t i = 0; i < size; ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (values[first + i * size + j] != values[first + j * size + i]) return false;
      }
    }
  }
  return true;
}

}  // namespace

std::pair<std::int64_t, std::int64_t> two_factors(std::int64_t dimension, std::int64_t factor) {
  if (factor > 0 && dimension % factor == 0) return {factor, dimension / factor};
  if (factor == -1) factor = dimension;
  std::int64_t m = 1, n = dimension;
  while (m < n) {
    std::int64_t next = m + 1;
    while (dimension % next != 0) ++next;
    if (next + dimension / next > dimension + 1 || next > factor) break;
    m = next;
    n = dimension / next;
  }
  return {std::min(m, n), std::max(m, n)};
}

std::int64_t nearest_divisor(std::int64_t features, std::int64_t wanted) {
  if (wanted >= features) return features;
  std::int64_t higher = wanted, lower = wanted;
  while (features % higher != 0) ++higher;
  while (features % lower != 0) --lower;
  return wanted - lower <= higher - wanted ? lower : higher;
}

ExpectedTensors expected_tensors(const AdapterConfig& config, const BaseModule& module,
                                 std::int64_t rank, bool feedforward) {
  if (std::string problem = layer_problem(config, module); !problem.empty())
    return {{}, std::move(problem)};
  switch (config.method) {
    case Method::Lora: break;
    case Method::Ia3:
      return {{{MethodPart::Ia3L, feedforward ? Shape{1, module.in} : Shape{module.out, 1}}}, ""};
    case Method::Loha: return loha(config, module, rank);
    case Method::Lokr: return lokr(config, module, rank);
    case Method::Vera:
      return {{{MethodPart::VeraLambdaB, {module.out}}, {MethodPart::VeraLambdaD, {rank}}}, ""};
    case Method::Oft: return oft(config, module);
    case Method::Boft: return boft(config, module);
  }
  return {};
}

bool fits(MethodPart part, const std::vector<std::int64_t>& expected,
          const std::vector<std::int64_t>& found) {
  if (expected == found) return true;
  return part == MethodPart::BoftR && found.size() == expected.size() && found.front() == 1 &&
         std::equal(found.begin() + 1, found.end(), expected.begin() + 1);
}

std::string idle_cause(Method method, const std::map<MethodPart, const io::TensorView*>& parts,
                       double scale) {
  switch (method) {
    case Method::Lora: return "";
    case Method::Ia3: return is_all(*parts.at(MethodPart::Ia3L), 1) ? "ia3_l is all one" : "";
    case Method::Oft:
      return is_zero(*parts.begin()->second) ? "the rotation is all zero, that is none" : "";
    case Method::Boft:
      return is_symmetric(*parts.at(MethodPart::BoftR)) && is_all(*parts.at(MethodPart::BoftS), 1)
                 ? "boft_R rotates nothing and boft_s is all one"
                 : "";
    case Method::Loha:
    case Method::Lokr:
    case Method::Vera: break;
  }
  if (scale == 0) return "the scale is 0 (alpha or alpha_pattern)";
  for (const auto& [part, view] : parts) {
    if (!is_zero(*view)) continue;
    const std::string key = method_key("", part);
    return key.substr(key.rfind('.') + 1) + " is all zero, as before the first training step";
  }
  return "";
}

}  // namespace loraproof::adapter
