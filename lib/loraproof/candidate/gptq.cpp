// SPDX-License-Identifier: Apache-2.0
// GPTQ as AutoGPTQ and GPTQModel write it, for a linear layer [out, in]:
//   qweight I32 [in·bits/32, out]: element k of a word (low bits first) is input row 32/bits·i + k
//   qzeros  I32 [groups, out·bits/32], scales F16 [groups, out], g_idx I32 [in]: group of an input
// Value: (code - zero) · scale, scale and product in the 16-bit type of the model (GPTQModel's
// TorchLinear.dequantize_weight). Version 1 files store zero - 1.
#include <algorithm>
#include <fmt/format.h>

#include "loraproof/candidate/reading.h"
#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "loraproof/io/narrow.h"

namespace loraproof::candidate {
namespace {

using io::DType;
using io::TensorView;

// A quantised linear layer, checked.
struct GptqLayer {
  const TensorView* codes = nullptr;
  const TensorView* zeros = nullptr;
  const TensorView* scales = nullptr;
  const TensorView* group_of = nullptr;  // Null: input i belongs to group i / group_size.
  std::int64_t bits = 4;
  std::int64_t out = 0;
  std::int64_t in = 0;
  std::int64_t groups = 0;
  std::int64_t group_size = 0;
  DType result = DType::F16;
  bool ordered = true;  // Groups are runs of inputs; not so with desc_act.
  // Added to each word of qzeros: 1 in each field for version 1, as GPTQModel converts it (a field
  // that overflows carries into the next, which undoes the borrow of writing it).
  std::uint32_t zero_step = 0;
};

std::int64_t group_at(const GptqLayer& layer, std::int64_t input) {
  if (layer.group_of == nullptr) return input / layer.group_size;
  return load<std::int32_t>(layer.group_of->bytes, input);
}

void decode(const GptqLayer& layer, std::int64_t first, std::int64_t count, float* out) {
  const std::int64_t fields = 32 / layer.bits;
  const std::uint32_t mask = (std::uint32_t{1} << layer.bits) - 1;
  // Scale and zero of each group for the rows asked for. [groups, count]
  const auto cells = static_cast<std::size_t>(layer.groups * count);
  std::vector<float> scale(cells), zero(cells);
  for (std::int64_t g = 0; g < layer.groups; ++g) {
    for (std::int64_t r = 0; r < count; ++r) {
      const std::int64_t row = first + r;
      const std::int64_t word_at = g * (layer.out / fields) + row / fields;
      const std::uint32_t word = load<std::uint32_t>(layer.zeros->bytes, word_at) + layer.zero_step;
      const auto cell = static_cast<std::size_t>(g * count + r);
      zero[cell] = static_cast<float>((word >> (row % fields * layer.bits)) & mask);
      scale[cell] = io::rounded_to(layer.result, float_at(*layer.scales, g * layer.out + row));
    }
  }
  for (std::int64_t i = 0; i < layer.in / fields; ++i) {
    for (std::int64_t r = 0; r < count; ++r) {
      const std::uint32_t word = load<std::uint32_t>(layer.codes->bytes, i * layer.out + first + r);
      for (std::int64_t k = 0; k < fields; ++k) {
        const std::int64_t input = i * fields + k;
        const auto cell = static_cast<std::size_t>(group_at(layer, input) * count + r);
        const auto code = static_cast<float>((word >> (k * layer.bits)) & mask);
        out[r * layer.in + input] = io::rounded_to(layer.result, (code - zero[cell]) * scale[cell]);
      }
    }
  }
}

class GptqReader {
 public:
  explicit GptqReader(Reading& reading) : reading_(reading) {
    const JsonObject& config = reading.config();
    bits_ = config.integer("bits");
    if (bits_ != 2 && bits_ != 4 && bits_ != 8) {
      throw config.error("bits", "bits of GPTQ that are not read", "2, 4 or 8",
                         fmt::format("{}", bits_));
    }
    // GPTQModel may give some modules other bits than the rest.
    mixed_ = config.has("dynamic");
    const std::string format =
        config.string_or("checkpoint_format", config.string_or("format", "gptq"));
    if (format != "gptq" && format != "gptq_v2") {
      throw config.error("checkpoint_format", "layout of GPTQ that is not read",
                         "\"gptq\" or \"gptq_v2\"", brief(Json(format)),
                         "convert the checkpoint with GPTQModel");
    }
    first_version_ = format == "gptq";
  }

  void read(const std::string& module) {
    const GptqLayer layer = check(module);
    Weight weight{.name = module + ".weight",
                  .shape = {layer.out, layer.in},
                  .method = fmt::format("gptq int{} g{}{}", layer.bits, layer.group_size,
                                        layer.ordered ? "" : " act-order")};
    weight.decode = [layer](std::int64_t first, std::int64_t count, float* out) {
      decode(layer, first, count, out);
    };
    reading_.add(std::move(weight), {layer.codes, layer.zeros, layer.scales, layer.group_of});
    // Without desc_act the indices say nothing new, but they are there.
    if (const TensorView* index = reading_.find(module + ".g_idx")) reading_.pass_over(*index);
  }

 private:
  GptqLayer check(const std::string& module) {
    GptqLayer layer;
    layer.codes = &reading_.need(module + ".qweight", {DType::I32});
    layer.zeros = &reading_.need(module + ".qzeros", {DType::I32});
    layer.scales = &reading_.need(module + ".scales", {DType::F16, DType::BF16, DType::F32});
    for (const TensorView* part : {layer.codes, layer.zeros, layer.scales}) {
      reading_.expect_matrix(*part);
    }
    layer.result = reading_.compute_type(*layer.scales);
    layer.groups = layer.scales->shape[0];
    layer.out = layer.scales->shape[1];
    layer.bits = bits_of(layer);
    const std::int64_t fields = 32 / layer.bits;
    layer.in = layer.codes->shape[0] * fields;
    reading_.expect_shape(*layer.codes, std::vector{layer.in / fields, layer.out},
                          "columns as in scales");
    reading_.expect_shape(
        *layer.zeros, std::vector{layer.groups, layer.out / fields},
        fmt::format("scales are {}, {} bits", io::shape_text(layer.scales->shape), layer.bits));
    check_groups(module, layer);
    if (first_version_) {
      for (std::int64_t k = 0; k < fields; ++k) {
        layer.zero_step |= std::uint32_t{1} << (k * layer.bits);
      }
    }
    return layer;
  }

  // The tensors decide: zeros have out·bits/32 columns.
  std::int64_t bits_of(const GptqLayer& layer) const {
    const std::int64_t columns = layer.zeros->shape[1];
    for (const std::int64_t bits : {bits_, std::int64_t{2}, std::int64_t{4}, std::int64_t{8}}) {
      if (columns * (32 / bits) == layer.out && (bits == bits_ || mixed_)) return bits;
    }
    throw reading_.error(*layer.zeros, "tensor of a quantised weight has the wrong shape",
                         fmt::format("{} columns ({} outputs of {} bits)",
                                     (layer.out * bits_ + 31) / 32, layer.out, bits_),
                         io::shape_text(layer.zeros->shape));
  }

  void check_groups(const std::string& module, GptqLayer& layer) const {
    const std::int64_t configured = reading_.config().integer_or("group_size", -1);
    layer.group_size = configured > 0 && !mixed_ ? configured : layer.in / layer.groups;
    const std::int64_t needed =
        layer.group_size > 0 ? (layer.in + layer.group_size - 1) / layer.group_size : 0;
    if (needed != layer.groups) {
      throw reading_.error(
          *layer.scales, "groups do not divide the inputs",
          fmt::format("{} groups of {} for {} inputs", needed, layer.group_size, layer.in),
          fmt::format("{} groups", layer.groups),
          "does group_size of quantization_config belong to this checkpoint?");
    }
    const TensorView* index = reading_.find(module + ".g_idx");
    if (index == nullptr) return;
    (void)reading_.need(index->name, {DType::I32});
    reading_.expect_shape(*index, std::vector{layer.in}, "one group for each input");
    for (std::int64_t i = 0; i < layer.in; ++i) {
      const std::int64_t group = load<std::int32_t>(index->bytes, i);
      if (group < 0 || group >= layer.groups) {
        throw reading_.error(*index, "group of an input does not exist",
                             fmt::format("0 to {}", layer.groups - 1),
                             fmt::format("{} at {}", group, i), "the checkpoint is damaged");
      }
      layer.ordered = layer.ordered && group == i / layer.group_size;
    }
    if (!layer.ordered) layer.group_of = index;
  }

  Reading& reading_;
  std::int64_t bits_ = 4;
  bool mixed_ = false;
  bool first_version_ = true;
};

}  // namespace

void read_gptq(Reading& reading) {
  GptqReader reader(reading);
  for (const std::string& module : reading.modules_with("qweight")) reader.read(module);
  read_plain(reading, {"qzeros", "scales", "g_idx"});
}

}  // namespace loraproof::candidate
