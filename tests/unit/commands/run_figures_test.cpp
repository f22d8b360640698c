// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/run_figures.h"

#include <c10/core/ScalarType.h>

#include "loraproof/core/json.h"
#include "support/catch.h"

using namespace loraproof;

namespace {

const std::string kBase = LORAPROOF_SOURCE_DIR "/tests/fixtures/adapters/base";

// The fixture in bytes of F32: vocabulary 48, hidden 32, FFN 40, 2 layers.
constexpr std::int64_t kLayer = 4 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 40 * 32 + 2 * 32);
constexpr std::int64_t kTable = 4 * 48 * 32;
constexpr std::int64_t kNorm = 4 * 32;

std::int64_t sum_of_parts(const Json& memory) {
  std::int64_t sum = 0;
  for (const auto& [part, bytes] : memory.items()) {
    if (part != "total") sum += bytes.get<std::int64_t>();
  }
  return sum;
}

}  // namespace

TEST_CASE("a plan says what stays, what is read and what it is made of") {
  const commands::BaseInput base = commands::open_base(kBase);
  const std::vector<std::vector<std::int32_t>> prompts = {{1, 2, 3}, {4, 5}};
  const Json resident = commands::plan_json(base, {}, prompts, at::kFloat, 5);
  CHECK(resident.at("weights") == "resident");
  CHECK(resident.at("prompt_tokens") == 5);
  CHECK(resident.at("weights_bytes_held") == 2 * kLayer + 2 * kTable + kNorm);
  CHECK(resident.at("bytes_read_per_sweep") == 2 * kLayer + kTable + kNorm);
  // 3 + 2 prompt tokens and 3 answer tokens each (5 over 2 prompts, rounded up): 11 in all. Twice
  // the weights' elements, without the norms and the embedding.
  CHECK(resident.at("flops_per_sweep") == 2.0 * 11 * (2 * (kLayer / 4 - 64) + 48 * 32));
  CHECK(resident.at("peak_memory_bytes").at("total") ==
        sum_of_parts(resident.at("peak_memory_bytes")));

  const Json streamed =
      commands::plan_json(base, {.memory_bytes = kNorm + 2 * kLayer}, prompts, at::kFloat);
  CHECK(streamed.at("weights") == "streamed");
  CHECK(streamed.at("prefetch") == true);
  CHECK(streamed.at("weights_bytes_held") == kNorm + 2 * kLayer);

  const Json exceeded = commands::plan_json(base, {.memory_bytes = 1}, prompts, at::kFloat);
  CHECK(exceeded.at("within_budget") == false);
  CHECK(exceeded.at("weights_bytes_held") == kNorm + kLayer);
}

TEST_CASE("more tokens and a longer pack need more memory, weights the same") {
  const commands::BaseInput base = commands::open_base(kBase);
  const auto memory = [&](std::size_t prompts, std::size_t length) {
    const std::vector<std::vector<std::int32_t>> ids(prompts, std::vector<std::int32_t>(length, 1));
    return commands::plan_json(base, {}, ids, at::kBFloat16).at("peak_memory_bytes");
  };
  CHECK(memory(4, 100).at("activations") > memory(4, 10).at("activations"));
  CHECK(memory(200, 100).at("activations") > memory(100, 100).at("activations"));
  CHECK(memory(4, 100).at("weights") == memory(4, 10).at("weights"));
  CHECK(memory(100, 100).at("logits") == memory(4, 100).at("logits"));
}
