// SPDX-License-Identifier: Apache-2.0
// What `validate --record` stores and every later validation compares with: per prompt the ids,
// embeddings and next-token distributions of the recorded run, and what that run was made of.
// On disk: reference.safetensors (arrays) and reference.json (everything else).
#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace loraproof::golden {

/// Tokens of one prompt and the answer that goes with them.
struct Sequence {
  std::vector<std::int32_t> prompt_ids;  ///< not empty
  std::vector<std::int32_t> answer_ids;  ///< ends with the stop token when one was produced

  /// Stored rows: row j is the distribution after token j of prompt + answer; the row after the
  /// last answer token is not stored. Rows from prompt size - 1 on predict answer tokens.
  [[nodiscard]] std::int64_t rows() const {
    return static_cast<std::int64_t>(prompt_ids.size() + answer_ids.size()) - 1;
  }
  [[nodiscard]] std::int64_t first_answer_row() const {
    return static_cast<std::int64_t>(prompt_ids.size()) - 1;
  }
  /// The token that row j predicts.
  [[nodiscard]] std::int32_t next_token(std::int64_t row) const;
  [[nodiscard]] std::vector<std::int32_t> tokens() const;  ///< prompt then answer
};

/// P prompts, N = sum of rows, D hidden size, k entries per distribution. CPU tensors.
struct Distributions {
  at::Tensor topk_ids;       ///< [N, k] i32, most probable first
  at::Tensor topk_logprobs;  ///< [N, k] f32
  at::Tensor tail_logprob;  ///< [N] f32: log of the probability outside of the top k (-inf if none)
};
struct Embeddings {
  at::Tensor last;    ///< [P, D] f32: last prompt token, after the final norm
  at::Tensor mean;    ///< [P, D] f32: mean over the prompt's tokens
  at::Tensor answer;  ///< [P, D] f32: mean over the answer's tokens; zero where it is empty
};

/// How far two healthy runs of the same thing lie apart.
struct NoiseFloor {
  double kl_prompt = 0;  ///< mean over prompts, nats
  double kl_answer = 0;
  double cosine = 0;              ///< 1 - mean cosine of embedding_last
  double cosine_worst = 0;        ///< 1 - lowest cosine of embedding_last
  double cosine_mean = 0;         ///< 1 - mean cosine of embedding_mean
  double cosine_answer = 0;       ///< 1 - mean cosine of embedding_answer
  double l2 = 0;                  ///< mean relative L2 distance of embedding_last
  double nll = 0;                 ///< |difference of mean NLL of the answers|, nats per token
  double token_disagreement = 0;  ///< share of answer positions with another argmax
  double text_disagreement = 0;   ///< share of prompts with another greedy text
  double margin = 0;  ///< largest change of (logit of the answer token - best other logit)
};

/// One field of a NoiseFloor, under the name that reports and files use.
struct FloorField {
  const char* key;
  double NoiseFloor::*member;
};
[[nodiscard]] std::span<const FloorField> floor_fields();

/// Per field the larger of two floors.
[[nodiscard]] NoiseFloor larger_of(const NoiseFloor& a, const NoiseFloor& b);

/// What the base does without the adapter, compared with the recorded run: how far the adapter
/// takes it.
struct BaseFigures {
  double kl_prompt = 0;  ///< mean KL(recorded || base), nats
  double kl_answer = 0;
  double nll = 0;                ///< NLL of the recorded answers under the base, nats per token
  double cosine = 1;             ///< mean cosine of embedding_last
  std::int64_t equal_texts = 0;  ///< prompts whose greedy answer is the recorded one
  std::int64_t expected_met = 0;
};

/// Digests that name what the reference was recorded with (identity.* compares them).
struct Identity {
  std::map<std::string, std::string> base;            ///< tensor -> digest
  std::map<std::string, std::string> base_config;     ///< field that changes the forward -> value
  std::map<std::string, std::string> adapter;         ///< tensor -> digest; empty: no adapter
  std::map<std::string, std::string> adapter_config;  ///< meaning-bearing field -> value
  std::map<std::string, std::string> tokenizer;       ///< JSON pointer -> digest; empty: not used
  std::optional<std::string> chat_template;           ///< source text; nothing: not used
};

struct Reference {
  std::string suite_name;
  std::string suite_digest;
  std::string compute;  ///< "bf16" or "fp32"
  std::string device;
  std::string libtorch;
  std::string tool_version;
  std::int64_t k = 256;
  std::vector<std::int32_t> stop_ids;
  std::int64_t max_new_tokens = 0;
  std::vector<std::string> prompt_names;  ///< ids of the suite, in order
  std::vector<Sequence> sequences;        ///< same order
  Distributions distributions;
  Embeddings embeddings;
  /// Per prompt and answer token: true where decoding and teacher forcing preferred different
  /// tokens when it was recorded, so that neither is right.
  std::vector<std::vector<bool>> answer_ties;
  /// Per prompt the token ids of the expected answer; empty where there is none to measure, or
  /// where the recorded answer is the expected one.
  std::vector<std::vector<std::int32_t>> expected_ids;
  /// Per prompt the NLL of the expected answer, nats per token; nothing where there is none.
  std::vector<std::optional<double>> expected_nll;
  NoiseFloor floor;                              ///< the largest of floor_runs, per field
  std::map<std::string, NoiseFloor> floor_runs;  ///< "compute", "packing", "threads"
  std::optional<BaseFigures> base_figures;       ///< nothing when recorded without an adapter
  Identity identity;

  /// First row of each prompt's distributions, [P + 1].
  [[nodiscard]] std::vector<std::int64_t> row_offsets() const;
};

/// Writes both files into `folder` (made whole or not at all; `replace` allows an existing one).
void write_reference(const Reference& reference, const std::filesystem::path& folder, bool replace);

/// Reads and checks both files: shapes, offsets and ids must agree. Throws an input Error.
[[nodiscard]] Reference read_reference(const std::filesystem::path& folder);

/// The folder of the reference called `name` of a suite; with an empty name, the suite's only one.
/// Throws an input Error listing what is there.
[[nodiscard]] std::filesystem::path find_reference(const std::filesystem::path& suite_folder,
                                                   const std::string& name);

}  // namespace loraproof::golden
