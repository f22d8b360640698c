// SPDX-License-Identifier: Apache-2.0
// AWQ as AutoAWQ writes it ("gemm"), 4 bits, for a linear layer [out, in]:
//   qweight I32 [in, out/8], qzeros I32 [groups, out/8], scales F16 [groups, out]
// Nibble k (low first) of word w is output 8·w + {0, 2, 4, 6, 1, 3, 5, 7}[k].
// Value: (code - zero) · scale, scale and product in the 16-bit type of the model (F16 in files of
// AutoAWQ).
#include <algorithm>
#include <array>
#include <cctype>
#include <fmt/format.h>

#include "loraproof/candidate/reading.h"
#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "loraproof/io/narrow.h"

namespace loraproof::candidate {
namespace {

using io::DType;
using io::TensorView;

struct AwqLayer {
  const TensorView* codes = nullptr;
  const TensorView* zeros = nullptr;
  const TensorView* scales = nullptr;
  std::int64_t out = 0;
  std::int64_t in = 0;
  std::int64_t groups = 0;
  DType result = DType::F16;
};

// The nibble of output `row` in the row of words that begins at `word`.
std::uint32_t nibble(const TensorView& view, std::int64_t word, std::int64_t row) {
  constexpr std::array<std::uint32_t, 8> kPlace = {0, 4, 1, 5, 2, 6, 3, 7};  // of output row % 8
  const auto place = kPlace[static_cast<std::size_t>(row % 8)];
  return (load<std::uint32_t>(view.bytes, word + row / 8) >> (4 * place)) & 15u;
}

void decode(const AwqLayer& layer, std::int64_t first, std::int64_t count, float* out) {
  const std::int64_t words = layer.out / 8;
  const std::int64_t group_size = layer.in / layer.groups;
  std::vector<float> scale(static_cast<std::size_t>(count)), zero(scale.size());
  for (std::int64_t i = 0; i < layer.in; ++i) {
    const std::int64_t group = i / group_size;
    for (std::int64_t r = 0; r < count; ++r) {
      const auto at = static_cast<std::size_t>(r);
      if (i % group_size == 0) {
        scale[at] =
            io::rounded_to(layer.result, float_at(*layer.scales, group * layer.out + first + r));
        zero[at] = static_cast<float>(nibble(*layer.zeros, group * words, first + r));
      }
      const auto code = static_cast<float>(nibble(*layer.codes, i * words, first + r));
      out[r * layer.in + i] = io::rounded_to(layer.result, (code - zero[at]) * scale[at]);
    }
  }
}

void check_config(const JsonObject& config) {
  // AutoAWQ's own file calls it w_bit and q_group_size; transformers writes bits and group_size.
  const std::int64_t bits = config.integer_or("bits", config.integer_or("w_bit", 4));
  if (bits != 4) {
    throw config.error("bits", "bits of AWQ that are not read", "4", fmt::format("{}", bits));
  }
  std::string version = config.string_or("version", config.string_or("format", "gemm"));
  std::ranges::transform(version, version.begin(), [](unsigned char c) { return std::tolower(c); });
  if (version != "gemm") {
    throw config.error("version", "layout of AWQ that is not read", "\"gemm\"",
                       brief(Json(version)), "quantise again with version gemm");
  }
}

AwqLayer check_layer(const Reading& reading, const std::string& module) {
  AwqLayer layer;
  layer.codes = &reading.need(module + ".qweight", {DType::I32});
  layer.zeros = &reading.need(module + ".qzeros", {DType::I32});
  layer.scales = &reading.need(module + ".scales", {DType::F16, DType::BF16, DType::F32});
  for (const TensorView* part : {layer.codes, layer.zeros, layer.scales}) {
    reading.expect_matrix(*part);
  }
  layer.result = reading.compute_type(*layer.scales);
  layer.in = layer.codes->shape[0];
  layer.groups = layer.scales->shape[0];
  layer.out = layer.scales->shape[1];
  if (layer.out % 8 != 0) {
    throw reading.error(*layer.scales, "outputs do not fill whole words", "a multiple of 8",
                        fmt::format("{}", layer.out));
  }
  reading.expect_shape(*layer.codes, std::vector{layer.in, layer.out / 8},
                       "an eighth of the columns of scales");
  reading.expect_shape(*layer.zeros, std::vector{layer.groups, layer.out / 8},
                       "rows of scales, an eighth of its columns");
  const JsonObject& config = reading.config();
  const std::int64_t configured =
      config.integer_or("group_size", config.integer_or("q_group_size", -1));
  const std::int64_t size = configured > 0 ? configured : layer.in;
  if (layer.in % size != 0 || layer.groups != layer.in / size) {
    throw reading.error(*layer.scales, "groups do not divide the inputs",
                        fmt::format("groups of {} for {} inputs", size, layer.in),
                        fmt::format("{} groups", layer.groups),
                        "does group_size of quantization_config belong to this checkpoint?");
  }
  return layer;
}

}  // namespace

void read_awq(Reading& reading) {
  check_config(reading.config());
  for (const std::string& module : reading.modules_with("qweight")) {
    const AwqLayer layer = check_layer(reading, module);
    Weight weight{.name = module + ".weight",
                  .shape = {layer.out, layer.in},
                  .method = fmt::format("awq int4 g{}", layer.in / layer.groups)};
    weight.decode = [layer](std::int64_t first, std::int64_t count, float* out) {
      decode(layer, first, count, out);
    };
    reading.add(std::move(weight), {layer.codes, layer.zeros, layer.scales});
  }
  read_plain(reading, {"qzeros", "scales"});
}

}  // namespace loraproof::candidate
