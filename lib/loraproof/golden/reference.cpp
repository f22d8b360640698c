// SPDX-License-Identifier: Apache-2.0
#include "loraproof/golden/reference.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "loraproof/core/error.h"
#include "loraproof/core/file.h"
#include "loraproof/io/safetensors.h"
#include "loraproof/io/safetensors_writer.h"
#include "loraproof/tensor/from_view.h"

namespace loraproof::golden {
namespace {

constexpr const char* kSchema = "loraproof.reference/1";
constexpr const char* kArrays = "reference.safetensors";
constexpr const char* kMeta = "reference.json";

// The noise floor's fields, once for writing and reading.
struct FloorField {
  const char* key;
  double NoiseFloor::*member;
};
constexpr FloorField kFloorFields[] = {
    {"kl_prompt", &NoiseFloor::kl_prompt},
    {"kl_answer", &NoiseFloor::kl_answer},
    {"cosine", &NoiseFloor::cosine},
    {"cosine_worst", &NoiseFloor::cosine_worst},
    {"l2", &NoiseFloor::l2},
    {"nll", &NoiseFloor::nll},
    {"token_disagreement", &NoiseFloor::token_disagreement},
    {"text_disagreement", &NoiseFloor::text_disagreement},
    {"margin", &NoiseFloor::margin},
};

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
  return io::DType::F32;
}

Json map_json(const std::map<std::string, std::string>& map) {
  Json json = Json::object();
  for (const auto& [key, value] : map) json[key] = value;
  return json;
}

std::map<std::string, std::string> map_from(const JsonObject& object, std::string_view key) {
  std::map<std::string, std::string> map;
  const JsonObject inner = object.object(key);
  for (const auto& [name, value] : inner.json().items()) map[name] = inner.string(name);
  return map;
}

Json meta_json(const Reference& reference) {
  Json floor = Json::object();
  for (const FloorField& field : kFloorFields) floor[field.key] = reference.floor.*field.member;
  const Identity& identity = reference.identity;
  return {
      {"schema", kSchema},
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
      {"noise_floor", floor},
      {"base", {{"tensors", map_json(identity.base)}, {"config", map_json(identity.base_config)}}},
      {"adapter",
       {{"tensors", map_json(identity.adapter)}, {"config", map_json(identity.adapter_config)}}},
      {"tokenizer", {{"fields", map_json(identity.tokenizer)}}},
      {"chat_template", identity.chat_template ? Json(*identity.chat_template) : Json(nullptr)}};
}

}  // namespace

std::int32_t Sequence::next_token(std::int64_t row) const {
  const auto next = static_cast<std::size_t>(row) + 1;
  return next < prompt_ids.size() ? prompt_ids[next] : answer_ids[next - prompt_ids.size()];
}

std::vector<std::int32_t> Sequence::tokens() const {
  std::vector<std::int32_t> all = prompt_ids;
  all.insert(all.end(), answer_ids.begin(), answer_ids.end());
  return all;
}

std::vector<std::int64_t> Reference::row_offsets() const {
  std::vector<std::int64_t> offsets{0};
  for (const Sequence& sequence : sequences) offsets.push_back(offsets.back() + sequence.rows());
  return offsets;
}

void write_reference(const Reference& reference, const std::filesystem::path& folder,
                     bool replace) {
  FlatIds prompts, answers;
  for (const Sequence& sequence : reference.sequences) {
    prompts.add(sequence.prompt_ids);
    answers.add(sequence.answer_ids);
  }
  // 8-byte types first: the file then aligns every tensor.
  const std::vector<std::pair<const char*, at::Tensor>> arrays = {
      {"prompt_offsets", at::tensor(prompts.offsets, at::kLong)},
      {"answer_offsets", at::tensor(answers.offsets, at::kLong)},
      {"position_offsets", at::tensor(reference.row_offsets(), at::kLong)},
      {"prompt_ids", ids_tensor(prompts.ids)},
      {"answer_ids", ids_tensor(answers.ids)},
      {"topk_ids", reference.distributions.topk_ids.contiguous()},
      {"topk_logprobs", reference.distributions.topk_logprobs.contiguous()},
      {"tail_logprob", reference.distributions.tail_logprob.contiguous()},
      {"embedding_last", reference.embeddings.last.contiguous()},
      {"embedding_mean", reference.embeddings.mean.contiguous()},
      {"embedding_answer", reference.embeddings.answer.contiguous()},
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
  io::write_safetensors(output.staging() / kArrays, views, {{"format", "pt"}, {"schema", kSchema}});
  write_file_atomically(output.staging() / kMeta, meta_json(reference).dump(1) + "\n");
  output.commit();
}

namespace {

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
  const auto slice = [](const at::Tensor& ids, std::int64_t begin, std::int64_t end) {
    const auto* data = ids.const_data_ptr<std::int32_t>();
    return std::vector<std::int32_t>(data + begin, data + end);
  };
  for (std::size_t i = 0; i < prompts; ++i) {
    Sequence sequence{slice(prompt_ids, prompt_offsets[i], prompt_offsets[i + 1]),
                      slice(answer_ids, answer_offsets[i], answer_offsets[i + 1])};
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
}

}  // namespace

Reference read_reference(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / kMeta;
  const Json json = read_json_file(file);
  const JsonObject meta(json, file.string());
  if (meta.string("schema") != kSchema) {
    throw meta.error("schema", "this reference format is not supported", kSchema,
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
  const JsonObject floor = meta.object("noise_floor");
  for (const FloorField& field : kFloorFields)
    reference.floor.*field.member = floor.number(field.key);
  reference.identity.base = map_from(meta.object("base"), "tensors");
  reference.identity.base_config = map_from(meta.object("base"), "config");
  reference.identity.adapter = map_from(meta.object("adapter"), "tensors");
  reference.identity.adapter_config = map_from(meta.object("adapter"), "config");
  reference.identity.tokenizer = map_from(meta.object("tokenizer"), "fields");
  if (meta.has("chat_template")) reference.identity.chat_template = meta.string("chat_template");
  read_arrays(ArrayReader(folder / kArrays), reference);
  return reference;
}

std::filesystem::path find_reference(const std::filesystem::path& suite_folder,
                                     const std::string& name) {
  const std::filesystem::path references = suite_folder / "references";
  std::vector<std::string> names;
  std::error_code code;
  for (const auto& entry : std::filesystem::directory_iterator(references, code)) {
    if (std::filesystem::exists(entry.path() / kMeta))
      names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  if (names.empty()) {
    throw input_error(
        {.message = "the suite has no recorded reference",
         .file = references.string(),
         .hint =
             "record one with a base and adapter known to be good: loraproof validate --record"});
  }
  if (!name.empty() && std::ranges::find(names, name) != names.end()) return references / name;
  if (name.empty() && names.size() == 1) return references / names.front();
  throw input_error({.message = name.empty()
                                    ? "the suite has several references"
                                    : fmt::format("the suite has no reference named '{}'", name),
                     .file = references.string(),
                     .expected = fmt::format("{}", fmt::join(names, ", ")),
                     .hint = "choose one with --reference NAME"});
}

}  // namespace loraproof::golden
