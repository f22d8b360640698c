// SPDX-License-Identifier: Apache-2.0
#include "loraproof/golden/laid_rows.h"

#include <ATen/ATen.h>
#include <utility>

namespace loraproof::golden {

namespace {

at::Tensor index_of(const std::vector<std::int64_t>& rows, const at::Device& device) {
  return at::tensor(rows, at::kLong).to(device);
}

}  // namespace

Laid lay_out(std::span<const Sequence> sequences, const nn::RopeConfig& rope,
             const engine::Packing& packing, std::size_t first_run) {
  std::vector<std::vector<std::int32_t>> tokens;
  for (const Sequence& sequence : sequences) tokens.push_back(sequence.tokens());
  return {engine::pack_sequences(tokens, rope, packing), first_run};
}

Embeddings embeddings_of(std::span<const Sequence> sequences, const Laid& laid,
                         const std::vector<at::Tensor>& hidden) {
  std::vector<at::Tensor> last, mean, answer;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const Sequence& sequence = sequences[i];
    const auto prompt = static_cast<std::int64_t>(sequence.prompt_ids.size());
    const auto answered = static_cast<std::int64_t>(sequence.answer_ids.size());
    const engine::Placement& place = laid.packed.placements[i];
    const at::Tensor& states = hidden[laid.first_run + place.pack];
    const at::Tensor rows =
        states.index_select(0, index_of(place.rows, states.device())).to(at::kCPU, at::kFloat);
    last.push_back(rows.select(0, prompt - 1));
    mean.push_back(rows.narrow(0, 0, prompt).mean(0));
    answer.push_back(answered == 0 ? at::zeros_like(last.back())
                                   : rows.narrow(0, prompt, answered).mean(0));
  }
  return {at::stack(last), at::stack(mean), at::stack(answer)};
}

std::vector<std::int32_t> next_ids_of(std::span<const Sequence> sequences) {
  std::vector<std::int32_t> ids;
  for (const Sequence& sequence : sequences) {
    for (std::int64_t row = 0; row < sequence.rows(); ++row)
      ids.push_back(sequence.next_token(row));
  }
  return ids;
}

ReadRows rows_that_are_read(std::span<const Sequence> sequences, const Laid& laid,
                            const std::vector<at::Tensor>& hidden) {
  std::vector<std::vector<std::vector<std::int64_t>>> by_pack;
  for (const engine::Pack& pack : laid.packed.packs)
    by_pack.emplace_back(static_cast<std::size_t>(pack.num_tokens()));
  std::int64_t row = 0;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const engine::Placement& place = laid.packed.placements[i];
    for (std::int64_t t = 0; t < sequences[i].rows(); ++t) {
      const std::int64_t computed = place.rows[static_cast<std::size_t>(t)];
      by_pack[place.pack][static_cast<std::size_t>(computed)].push_back(row++);
    }
  }
  ReadRows read;
  std::vector<at::Tensor> parts;
  for (std::size_t pack = 0; pack < by_pack.size(); ++pack) {
    std::vector<std::int64_t> computed;
    for (std::size_t r = 0; r < by_pack[pack].size(); ++r) {
      if (by_pack[pack][r].empty()) continue;
      computed.push_back(static_cast<std::int64_t>(r));
      read.readers.push_back(std::move(by_pack[pack][r]));
    }
    const at::Tensor& states = hidden[laid.first_run + pack];
    parts.push_back(states.index_select(0, index_of(computed, states.device())));
  }
  read.hidden = at::cat(parts);
  return read;
}

}  // namespace loraproof::golden
