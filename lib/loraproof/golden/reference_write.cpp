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
#include "loraproof/io/safetensors_writer.h"

namespace loraproof::golden {
namespace {

at::Tensor ids_tensor(const std::vector<std::int32_t>& ids) {
  return at::tensor(at::ArrayRef<std::int32_t>(ids), at::kInt);
}

struct FlatIds {
  std::vector<std::int32_t> ids;
  std::vector<std::int64_t> offsets{0};
  void add(const std::vector<std::int32_t>& more) {
    ids.insert(ids.end(), more.begin(), more.end());
    offsets.push_back(static_cast<std::int64_t>(ids.size()));
  }
};

io::DType dtype_of(const at::Tensor& tensor) {
  if (tensor.scalar_type() == at::kLong) return io::DType::I64;
  if (tensor.scalar_type() == at::kInt) return io::DType::I32;
  if (tensor.scalar_type() == at::kByte) return io::DType::U8;
  return io::DType::F32;
}

at::Tensor ties_tensor(const std::vector<std::vector<bool>>& ties) {
  std::vector<std::uint8_t> flat;
  for (const auto& prompt : ties) flat.insert(flat.end(), prompt.begin(), prompt.end());
  return at::tensor(at::ArrayRef<std::uint8_t>(flat), at::kByte);
}

at::Tensor nll_tensor(const std::vector<std::optional<double>>& nll) {
  std::vector<float> values;
  for (const auto& value : nll) values.push_back(static_cast<float>(value.value_or(std::nan(""))));
  return at::tensor(at::ArrayRef<float>(values), at::kFloat);
}

Json map_json(const std::map<std::string, std::string>& map) {
  Json json = Json::object();
  for (const auto& [key, value] : map) json[key] = value;
  return json;
}

Json floor_json(const NoiseFloor& floor) {
  Json json = Json::object();
  for (const FloorField& field : floor_fields()) json[field.key] = floor.*field.member;
  return json;
}

Json floor_runs_json(const Reference& reference) {
  Json json = Json::object();
  for (const auto& [name, floor] : reference.floor_runs) json[name] = floor_json(floor);
  return json;
}

Json base_figures_json(const std::optional<BaseFigures>& base) {
  if (!base) return nullptr;
  return {{"kl_prompt", base->kl_prompt},
          {"kl_answer", base->kl_answer},
          {"nll", base->nll},
          {"cosine", base->cosine},
          {"equal_texts", base->equal_texts},
          {"expected_met", base->expected_met}};
}

Json meta_json(const Reference& reference) {
  const Identity& identity = reference.identity;
  return {
      {"schema", kReferenceSchema},
      {"suite", {{"name", reference.suite_name}, {"digest", reference.suite_digest}}},
      {"recorded_with",
       {{"loraproof", reference.tool_version},
        {"libtorch", reference.libtorch},
        {"device", reference.device},
        {"compute", reference.compute}}},
      {"k", reference.k},
      {"max_new_tokens", reference.max_new_tokens},
      {"stop_ids", reference.stop_ids},
      {"prompts", reference.prompt_names},
      {"noise_floor", floor_json(reference.floor)},
      {"noise_floor_runs", floor_runs_json(reference)},
      {"base_without_adapter", base_figures_json(reference.base_figures)},
      {"base", {{"tensors", map_json(identity.base)}, {"config", map_json(identity.base_config)}}},
      {"adapter",
       {{"tensors", map_json(identity.adapter)}, {"config", map_json(identity.adapter_config)}}},
      {"tokenizer", {{"fields", map_json(identity.tokenizer)}}},
      {"chat_template", identity.chat_template ? Json(*identity.chat_template) : Json(nullptr)}};
}

}  // namespace

void write_reference(const Reference& reference, const std::filesystem::path& folder,
                     bool replace) {
  FlatIds prompts, answers, expected;
  for (const Sequence& sequence : reference.sequences) {
    prompts.add(sequence.prompt_ids);
    answers.add(sequence.answer_ids);
  }
  for (const auto& ids : reference.expected_ids) expected.add(ids);
  // 8-byte types first: the file then aligns every tensor.
  const std::vector<std::pair<const char*, at::Tensor>> arrays = {
      {"prompt_offsets", at::tensor(prompts.offsets, at::kLong)},
      {"answer_offsets", at::tensor(answers.offsets, at::kLong)},
      {"position_offsets", at::tensor(reference.row_offsets(), at::kLong)},
      {"expected_offsets", at::tensor(expected.offsets, at::kLong)},
      {"prompt_ids", ids_tensor(prompts.ids)},
      {"answer_ids", ids_tensor(answers.ids)},
      {"expected_ids", ids_tensor(expected.ids)},
      {"topk_ids", reference.distributions.topk_ids.contiguous()},
      {"topk_logprobs", reference.distributions.topk_logprobs.contiguous()},
      {"tail_logprob", reference.distributions.tail_logprob.contiguous()},
      {"embedding_last", reference.embeddings.last.contiguous()},
      {"embedding_mean", reference.embeddings.mean.contiguous()},
      {"embedding_answer", reference.embeddings.answer.contiguous()},
      {"expected_nll", nll_tensor(reference.expected_nll)},
      {"answer_ties", ties_tensor(reference.answer_ties)},
  };
  std::vector<io::TensorView> views;
  for (const auto& [name, tensor] : arrays) {
    views.push_back(
        {.name = name,
         .dtype = dtype_of(tensor),
         .shape = tensor.sizes().vec(),
         .bytes = {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}});
  }
  std::error_code code;
  std::filesystem::create_directories(folder.parent_path(), code);
  if (code) {
    throw input_error({.message = "cannot create folder: " + code.message(),
                       .file = folder.parent_path().string()});
  }
  AtomicFolder output(folder, replace);
  io::write_safetensors(output.staging() / kReferenceArrays, views,
                        {{"format", "pt"}, {"schema", kReferenceSchema}});
  write_file_atomically(output.staging() / kReferenceMeta, meta_json(reference).dump(1) + "\n");
  output.commit();
}

}  // namespace loraproof::golden
