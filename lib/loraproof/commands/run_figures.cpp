// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/run_figures.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <sys/resource.h>

#include "loraproof/core/json.h"
#include "loraproof/engine/memory_plan.h"
#include "loraproof/engine/pack.h"
#include "loraproof/model/decoder.h"

namespace loraproof::commands {

Json RunFigures::json(const engine::LayerStore& store) const {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
  return {{"seconds", elapsed.count()},
          {"peak_rss_bytes", static_cast<std::int64_t>(usage.ru_maxrss) * 1024},
          {"bytes_read", store.bytes_read()},
          {"resident", store.resident()}};
}

namespace {

// Resident memory of a process that has libtorch loaded and has computed once, code and thread
// pools included (measured: docs/benchmarks.md).
constexpr std::int64_t kLibtorchBytes = std::int64_t{170} << 20;
// What base_watch keeps for digests while a base is streamed.
constexpr std::int64_t kDigestBytes = std::int64_t{64} << 20;
// Rows of logits at once (engine/sweep.cpp) and their copies there and in golden/observe.cpp: the
// compute type, f32, log-probabilities, and the mass outside of the top k twice.
constexpr std::int64_t kLogitRows = 256;
constexpr std::int64_t kLogitCopiesF32 = 4;

struct Work {
  std::int64_t tokens = 0;
  std::int64_t largest_pack = 0;
};

Work work_of(const std::vector<std::vector<std::int32_t>>& prompt_ids, std::int64_t answer_tokens) {
  Work work;
  const auto prompts = static_cast<std::int64_t>(std::max<std::size_t>(1, prompt_ids.size()));
  const std::int64_t answer = (answer_tokens + prompts - 1) / prompts;
  std::int64_t pack = 0;
  for (const auto& ids : prompt_ids) {
    const std::int64_t length = static_cast<std::int64_t>(ids.size()) + answer;
    pack = pack + length > engine::kMaxPackTokens ? length : pack + length;
    work.largest_pack = std::max(work.largest_pack, pack);
    work.tokens += length;
  }
  return work;
}

// Everything but weights and libtorch, for one lane. Per token of a pack: the residual stream and
// its norms (6 D), queries and keys (4 Q), the FFN (3 F), and the f32 copies that LoRA works on.
std::int64_t activation_bytes(const model::DecoderConfig& c, const Work& work,
                              std::int64_t element) {
  const std::int64_t q = c.num_heads * c.head_dim;
  const std::int64_t wide = std::max(c.ffn_size, q);
  const std::int64_t per_token = element * (6 * c.hidden_size + 4 * q + 3 * c.ffn_size) + 8 * wide;
  const std::int64_t kept_per_token = element * 2 * c.hidden_size + 16 * c.head_dim;
  return work.largest_pack * per_token + work.tokens * kept_per_token;
}

std::int64_t logit_bytes(const model::DecoderConfig& c, const Work& work, std::int64_t element) {
  const std::int64_t rows = std::min(kLogitRows, work.tokens);
  return rows * c.vocab_size * (element + 4 * kLogitCopiesF32);
}

// Multiplications and additions of one sweep of one lane, attention scores and LoRA left out.
double flops_of(const model::DecoderConfig& c, std::int64_t tokens) {
  const double q = static_cast<double>(c.num_heads * c.head_dim);
  const double kv = static_cast<double>(c.num_kv_heads * c.head_dim);
  const double d = static_cast<double>(c.hidden_size), f = static_cast<double>(c.ffn_size);
  const double layer = d * (2 * q + 2 * kv + 3 * f);
  const double head = d * static_cast<double>(c.vocab_size);
  return 2.0 * static_cast<double>(tokens) * (static_cast<double>(c.num_layers) * layer + head);
}

std::uint64_t bytes_per_sweep(const BaseInput& base) {
  // The embedding is read by rows; a tied head reads it whole.
  const std::string embedding = std::string(model::kEmbedding) + ".weight";
  const bool tied = model::head_weight_name(base.config, base.checkpoint) == embedding;
  const io::TensorView* table = base.checkpoint.find(embedding);
  return base.checkpoint.total_bytes() - (tied || table == nullptr ? 0 : table->bytes.size());
}

}  // namespace

Json plan_json(const BaseInput& base, const EngineOptions& engine,
               const std::vector<std::vector<std::int32_t>>& prompt_ids, at::ScalarType compute,
               std::int64_t answer_tokens) {
  const engine::MemoryPlan plan =
      engine::plan_memory(base.checkpoint, base.config, compute, engine.memory_bytes);
  const Work work = work_of(prompt_ids, answer_tokens);
  const auto element = static_cast<std::int64_t>(at::elementSize(compute));
  const bool resident = plan.resident(base.config);
  const std::int64_t activations = activation_bytes(base.config, work, element);
  const std::int64_t logits = logit_bytes(base.config, work, element);
  const auto stored = static_cast<std::int64_t>(base.checkpoint.total_bytes());
  const std::int64_t digests = resident ? 0 : std::min(kDigestBytes, stored);
  const auto weights = static_cast<std::int64_t>(plan.held_bytes);
  std::int64_t prompt_tokens = 0;
  for (const auto& ids : prompt_ids) prompt_tokens += static_cast<std::int64_t>(ids.size());
  return {{"prompts", prompt_ids.size()},
          {"prompt_tokens", prompt_tokens},
          {"layers", base.config.num_layers},
          {"stored_bytes", base.checkpoint.total_bytes()},
          {"weights", resident ? "resident" : "streamed"},
          {"weights_bytes_held", plan.held_bytes},
          {"layers_kept", plan.kept_layers},
          {"head_kept", plan.keep_head},
          {"prefetch", plan.prefetch},
          {"within_budget", plan.within_budget},
          {"bytes_read_per_sweep", bytes_per_sweep(base)},
          {"flops_per_sweep", flops_of(base.config, work.tokens)},
          {"peak_memory_bytes",
           {{"weights", weights},
            {"activations", activations},
            {"logits", logits},
            {"digests", digests},
            {"libtorch", kLibtorchBytes},
            {"total", weights + activations + logits + digests + kLibtorchBytes}}}};
}

}  // namespace loraproof::commands
