// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "loraproof/core/error.h"
#include "loraproof/core/file.h"
#include "loraproof/core/json.h"
#include "loraproof/golden/reference.h"
#include "loraproof/golden/reference_format.h"
#include "loraproof/io/safetensors.h"
#include "loraproof/tensor/from_view.h"

namespace loraproof::golden {
namespace {

std::map<std::string, std::string> map_from(const JsonObject& object, std::string_view key) {
  std::map<std::string, std::string> map;
  const JsonObject inner = object.object(key);
  for (const auto& [name, value] : inner.json().items()) map[name] = inner.string(name);
  return map;
}

// Reads the arrays with their expected types and ranks; every size is checked against the others.
class ArrayReader {
 public:
  explicit ArrayReader(const std::filesystem::path& path) : file_(path) {}

  at::Tensor get(std::string_view name, io::DType dtype, std::size_t rank) const {
    const io::TensorView* view = file_.find(name);
    if (view == nullptr) throw error(name, "array is missing");
    if (view->dtype != dtype || view->shape.size() != rank) {
      throw error(name, "array has the wrong type or rank",
                  fmt::format("{} of rank {}", io::name_of(dtype), rank),
                  fmt::format("{} {}", io::name_of(view->dtype), io::shape_text(view->shape)));
    }
    return tensor::tensor_of(*view).clone();
  }

  // Offsets must start at 0, never fall, and end at `total`.
  std::vector<std::int64_t> offsets(std::string_view name, std::int64_t total) const {
    const at::Tensor values = get(name, io::DType::I64, 1);
    const auto* data = values.const_data_ptr<std::int64_t>();
    std::vector<std::int64_t> offsets(data, data + values.numel());
    if (offsets.empty() || offsets.front() != 0 || offsets.back() != total ||
        !std::ranges::is_sorted(offsets)) {
      throw error(name, "offsets do not cover their array",
                  fmt::format("rising from 0 to {}", total));
    }
    return offsets;
  }

  [[nodiscard]] Error error(std::string_view name, std::string message, std::string expected = "",
                            std::string found = "") const {
    return input_error({.message = std::move(message),
                        .file = file_.file().path().string(),
                        .where = std::string(name),
                        .expected = std::move(expected),
                        .found = std::move(found),
                        .hint = "record the reference again: loraproof validate --record --force"});
  }

 private:
  io::SafetensorsFile file_;
};

void expect_rows(const ArrayReader& reader, const at::Tensor& array, const char* name,
                 std::int64_t rows) {
  if (array.size(0) == rows) return;
  throw reader.error(name, "array has the wrong number of rows", std::to_string(rows),
                     std::to_string(array.size(0)));
}

std::vector<std::int32_t> slice_of(const at::Tensor& ids, std::int64_t begin, std::int64_t end) {
  const auto* data = ids.const_data_ptr<std::int32_t>();
  return {data + begin, data + end};
}

// expected_ids, expected_nll and answer_ties: what revisions and ties are judged by.
void read_outcomes(const ArrayReader& reader, Reference& reference) {
  const auto prompts = static_cast<std::int64_t>(reference.sequences.size());
  const at::Tensor ids = reader.get("expected_ids", io::DType::I32, 1);
  const auto offsets = reader.offsets("expected_offsets", ids.numel());
  const at::Tensor nll = reader.get("expected_nll", io::DType::F32, 1);
  const at::Tensor ties = reader.get("answer_ties", io::DType::U8, 1);
  std::int64_t answers = 0;
  for (const Sequence& sequence : reference.sequences)
    answers += static_cast<std::int64_t>(sequence.answer_ids.size());
  expect_rows(reader, nll, "expected_nll", prompts);
  expect_rows(reader, ties, "answer_ties", answers);
  if (static_cast<std::int64_t>(offsets.size()) != prompts + 1) {
    throw reader.error("expected_offsets", "does not fit the prompts of reference.json",
                       fmt::format("{} prompts", prompts), fmt::format("{}", offsets.size() - 1));
  }
  const auto* tie = ties.const_data_ptr<std::uint8_t>();
  for (std::int64_t i = 0; i < prompts; ++i) {
    const auto at = static_cast<std::size_t>(i);
    reference.expected_ids.push_back(slice_of(ids, offsets[at], offsets[at + 1]));
    const float value = nll.const_data_ptr<float>()[i];
    reference.expected_nll.push_back(std::isnan(value) ? std::nullopt
                                                       : std::optional<double>(value));
    const std::size_t length = reference.sequences[at].answer_ids.size();
    reference.answer_ties.emplace_back(tie, tie + length);
    tie += length;
  }
}

void read_arrays(const ArrayReader& reader, Reference& reference) {
  const at::Tensor prompt_ids = reader.get("prompt_ids", io::DType::I32, 1);
  const at::Tensor answer_ids = reader.get("answer_ids", io::DType::I32, 1);
  const auto prompt_offsets = reader.offsets("prompt_offsets", prompt_ids.numel());
  const auto answer_offsets = reader.offsets("answer_offsets", answer_ids.numel());
  const std::size_t prompts = reference.prompt_names.size();
  if (prompt_offsets.size() != prompts + 1 || answer_offsets.size() != prompts + 1) {
    throw reader.error("prompt_offsets", "does not fit the prompts of reference.json",
                       fmt::format("{} prompts", prompts),
                       fmt::format("{}", prompt_offsets.size() - 1));
  }
  for (std::size_t i = 0; i < prompts; ++i) {
    Sequence sequence{slice_of(prompt_ids, prompt_offsets[i], prompt_offsets[i + 1]),
                      slice_of(answer_ids, answer_offsets[i], answer_offsets[i + 1])};
    if (sequence.prompt_ids.empty()) {
      throw reader.error("prompt_ids", "a prompt has no tokens", "", reference.prompt_names[i]);
    }
    reference.sequences.push_back(std::move(sequence));
  }
  const std::int64_t rows = reference.row_offsets().back();
  if (reader.offsets("position_offsets", rows) != reference.row_offsets()) {
    throw reader.error("position_offsets", "do not fit the lengths of prompts and answers");
  }
  Distributions& d = reference.distributions;
  d.topk_ids = reader.get("topk_ids", io::DType::I32, 2);
  d.topk_logprobs = reader.get("topk_logprobs", io::DType::F32, 2);
  d.tail_logprob = reader.get("tail_logprob", io::DType::F32, 1);
  expect_rows(reader, d.topk_ids, "topk_ids", rows);
  expect_rows(reader, d.topk_logprobs, "topk_logprobs", rows);
  expect_rows(reader, d.tail_logprob, "tail_logprob", rows);
  if (d.topk_ids.size(1) != reference.k || d.topk_logprobs.size(1) != reference.k) {
    throw reader.error("topk_ids", "does not hold k columns", std::to_string(reference.k),
                       io::shape_text(d.topk_ids.sizes().vec()));
  }
  Embeddings& e = reference.embeddings;
  e.last = reader.get("embedding_last", io::DType::F32, 2);
  e.mean = reader.get("embedding_mean", io::DType::F32, 2);
  e.answer = reader.get("embedding_answer", io::DType::F32, 2);
  for (const auto& [name, array] : {std::pair{"embedding_last", e.last},
                                    {"embedding_mean", e.mean},
                                    {"embedding_answer", e.answer}}) {
    expect_rows(reader, array, name, static_cast<std::int64_t>(prompts));
  }
  read_outcomes(reader, reference);
}

NoiseFloor read_floor(const JsonObject& json) {
  NoiseFloor floor;
  for (const FloorField& field : floor_fields()) floor.*field.member = json.number(field.key);
  return floor;
}

BaseFigures read_base_figures(const JsonObject& json) {
  return {.kl_prompt = json.number("kl_prompt"),
          .kl_answer = json.number("kl_answer"),
          .nll = json.number("nll"),
          .cosine = json.number("cosine"),
          .equal_texts = json.integer("equal_texts"),
          .expected_met = json.integer("expected_met")};
}

}  // namespace

Reference read_reference(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / kReferenceMeta;
  const Json json = read_json_file(file);
  const JsonObject meta(json, file.string());
  if (meta.string("schema") != kReferenceSchema) {
    throw meta.error("schema", "this reference format is not supported", kReferenceSchema,
                     meta.string("schema"),
                     "record the reference again with this version of loraproof");
  }
  Reference reference;
  const JsonObject suite = meta.object("suite");
  reference.suite_name = suite.string("name");
  reference.suite_digest = suite.string("digest");
  const JsonObject with = meta.object("recorded_with");
  reference.tool_version = with.string("loraproof");
  reference.libtorch = with.string("libtorch");
  reference.device = with.string("device");
  reference.compute = with.string("compute");
  reference.k = meta.integer("k");
  reference.max_new_tokens = meta.integer("max_new_tokens");
  const auto list = [&](std::string_view key, auto check, auto add) {
    const Json* values = meta.find(key);
    if (values == nullptr || !values->is_array() || !std::ranges::all_of(*values, check)) {
      throw meta.error(key, "missing or of the wrong type", "a list");
    }
    for (const Json& value : *values) add(value);
  };
  list(
      "stop_ids", [](const Json& v) { return v.is_number_integer(); },
      [&](const Json& v) { reference.stop_ids.push_back(v.get<std::int32_t>()); });
  list(
      "prompts", [](const Json& v) { return v.is_string(); },
      [&](const Json& v) { reference.prompt_names.push_back(v.get<std::string>()); });
  reference.floor = read_floor(meta.object("noise_floor"));
  const JsonObject runs = meta.object("noise_floor_runs");
  for (const auto& [name, run] : runs.json().items())
    reference.floor_runs[name] = read_floor(runs.object(name));
  if (meta.has("base_without_adapter"))
    reference.base_figures = read_base_figures(meta.object("base_without_adapter"));
  reference.identity.base = map_from(meta.object("base"), "tensors");
  reference.identity.base_config = map_from(meta.object("base"), "config");
  reference.identity.adapter = map_from(meta.object("adapter"), "tensors");
  reference.identity.adapter_config = map_from(meta.object("adapter"), "config");
  reference.identity.tokenizer = map_from(meta.object("tokenizer"), "fields");
  if (meta.has("chat_template")) reference.identity.chat_template = meta.string("chat_template");
  read_arrays(ArrayReader(folder / kReferenceArrays), reference);
  return reference;
}

}  // namespace loraproof::golden
