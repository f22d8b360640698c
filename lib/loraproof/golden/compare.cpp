// SPDX-License-Identifier: Apache-2.0
#include "loraproof/golden/compare.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <cmath>

#include "loraproof/stats/divergence.h"
#include "loraproof/tensor/from_view.h"

namespace loraproof::golden {
namespace {

// Cosine and relative L2 of two rows, accumulated in f64.
struct RowDistance {
  double cosine = 1;
  double l2 = 0;
};

RowDistance distance(const float* reference, const float* now, std::int64_t size) {
  double dot = 0, rr = 0, nn = 0, dd = 0;
  for (std::int64_t i = 0; i < size; ++i) {
    const double r = reference[i], n = now[i];
    dot += r * n;
    rr += r * r;
    nn += n * n;
    dd += (n - r) * (n - r);
  }
  if (rr == 0 && nn == 0) return {};  // both empty (no answer): no difference
  return {.cosine = dot / std::sqrt(rr * nn), .l2 = std::sqrt(dd / rr)};
}

RowDistance row_distance(const at::Tensor& reference, const at::Tensor& now, std::int64_t row) {
  const std::int64_t size = reference.size(1);
  return distance(reference.const_data_ptr<float>() + row * size,
                  now.const_data_ptr<float>() + row * size, size);
}

// log-probability of `id` in a recorded row. An id outside of the top k (possible where decoding
// and teacher forcing disagreed) is bounded by the tail.
double recorded_logprob(const Distributions& top, std::int64_t row, std::int32_t id) {
  const std::int64_t k = top.topk_ids.size(1);
  const auto* ids = top.topk_ids.const_data_ptr<std::int32_t>() + row * k;
  const auto* found = std::find(ids, ids + k, id);
  if (found == ids + k) return top.tail_logprob.const_data_ptr<float>()[row];
  return top.topk_logprobs.const_data_ptr<float>()[row * k + (found - ids)];
}

// A mean that carries NaN along; 0 over nothing.
struct Mean {
  double sum = 0;
  std::int64_t n = 0;

  void add(double value) {
    sum += value;
    ++n;
  }
  [[nodiscard]] double value() const { return n == 0 ? 0 : sum / static_cast<double>(n); }
};

// Where one prompt's rows lie in the recorded arrays and in the observed ones. Answers are the same
// tokens, so their rows pair up even when the prompts differ in length.
struct RowPair {
  std::int64_t recorded;
  std::int64_t now;
};

// One prompt of the comparison.
struct PromptPair {
  const Sequence& recorded;
  const Sequence& sequence;
  const std::vector<bool>& undecided;  // per answer token: a tie when recorded; may be empty
  RowPair first;
};

void compare_rows(const Reference& reference, const Observation& now, const PromptPair& pair,
                  double tie_margin, PromptDiff& diff) {
  const auto& [recorded, sequence, undecided, first] = pair;
  const Distributions& top = reference.distributions;
  const std::int64_t k = reference.k;
  const auto* p = top.topk_logprobs.const_data_ptr<float>();
  const auto* tail = top.tail_logprob.const_data_ptr<float>();
  const auto* q = now.at_reference.const_data_ptr<float>();
  const auto* q_tail = now.tail_at_reference.const_data_ptr<float>();
  const auto* gap = now.next_gap.const_data_ptr<float>();
  const auto* logprob = now.next_logprob.const_data_ptr<float>();
  const auto* best = now.best_id.const_data_ptr<std::int32_t>();
  double prompt_sum = 0, answer_sum = 0;
  const std::int64_t answers_from = sequence.first_answer_row();
  for (std::int64_t j = diff.same_prompt ? 0 : answers_from; j < sequence.rows(); ++j) {
    const std::int64_t row = first.now + j;
    const std::int64_t then = first.recorded + recorded.first_answer_row() + (j - answers_from);
    const double kl = stats::kl_top_k({p + then * k, static_cast<std::size_t>(k)}, tail[then],
                                      {q + row * k, static_cast<std::size_t>(k)}, q_tail[row]);
    if (j < answers_from) {
      prompt_sum += kl;
      continue;
    }
    answer_sum += kl;
    diff.kl_answer_max = std::max(diff.kl_answer_max, kl);
    const std::int32_t expected = sequence.next_token(j);
    diff.nll -= logprob[row];
    diff.nll_reference -= recorded_logprob(top, then, expected);
    if (best[row] == expected) continue;
    const double margin = -gap[row];
    const auto position = static_cast<std::size_t>(j - answers_from);
    if (margin <= tie_margin || (position < undecided.size() && undecided[position])) {
      ++diff.ties;
      continue;
    }
    ++diff.disagreements;
    if (!diff.divergence) diff.divergence = {j - answers_from, expected, best[row], margin};
  }
  if (answers_from > 0 && diff.same_prompt)
    diff.kl_prompt = prompt_sum / static_cast<double>(answers_from);
  diff.answer_tokens = static_cast<std::int64_t>(sequence.answer_ids.size());
  if (diff.answer_tokens > 0) {
    const auto n = static_cast<double>(diff.answer_tokens);
    diff.kl_answer = answer_sum / n;
    diff.nll /= n;
    diff.nll_reference /= n;
  }
}

// Where the recorded answer is the expected one, its NLL is that of the expected answer.
void expected_from_answer(const Reference& reference, std::size_t prompt, PromptDiff& diff) {
  if (prompt >= reference.expected_nll.size() || !reference.expected_nll[prompt]) return;
  diff.expected_nll_reference = reference.expected_nll[prompt];
  if (reference.expected_ids[prompt].empty()) diff.expected_nll = diff.nll;
}

}  // namespace

GoldenDiff add_up(std::vector<PromptDiff> prompts) {
  GoldenDiff total{.prompts = std::move(prompts)};
  Mean cosine, cosine_mean, cosine_answer, l2, kl_prompt, kl_answer, nll, expected_nll;
  for (const PromptDiff& diff : total.prompts) {
    cosine.add(diff.cosine_last);
    cosine_mean.add(diff.cosine_mean);
    cosine_answer.add(diff.cosine_answer);
    l2.add(diff.l2_last);
    // A NaN must not hide behind min().
    total.cosine_worst = std::isnan(diff.cosine_last)
                             ? diff.cosine_last
                             : std::min(total.cosine_worst, diff.cosine_last);
    if (diff.kl_prompt) kl_prompt.add(*diff.kl_prompt);
    if (diff.kl_answer) {
      kl_answer.add(*diff.kl_answer);
      nll.add(diff.nll - diff.nll_reference);
    }
    if (diff.expected_nll && diff.expected_nll_reference)
      expected_nll.add(*diff.expected_nll - *diff.expected_nll_reference);
    total.answer_tokens += diff.answer_tokens;
    total.disagreements += diff.disagreements;
    total.ties += diff.ties;
    ++(diff.divergence ? total.diverged_texts
       : diff.ties > 0 ? total.tied_texts
                       : total.equal_texts);
  }
  total.cosine = cosine.value();
  total.cosine_mean = cosine_mean.value();
  total.cosine_answer = cosine_answer.value();
  total.l2 = l2.value();
  total.kl_prompt = kl_prompt.value();
  total.kl_answer = kl_answer.value();
  total.nll_delta = nll.value();
  total.expected_nll_delta = expected_nll.value();
  total.kl_prompt_n = kl_prompt.n;
  total.kl_answer_n = kl_answer.n;
  total.expected_nll_n = expected_nll.n;
  return total;
}

std::vector<std::optional<double>> answer_nll(std::span<const Sequence> sequences,
                                              const Observation& observation) {
  const auto* logprob = observation.next_logprob.const_data_ptr<float>();
  std::vector<std::optional<double>> all;
  for (const Sequence& sequence : sequences) {
    Mean nll;
    for (std::int64_t j = sequence.first_answer_row(); j < sequence.rows(); ++j)
      nll.add(-static_cast<double>(logprob[j]));
    logprob += sequence.rows();
    all.push_back(nll.n > 0 ? std::optional(nll.value()) : std::nullopt);
  }
  return all;
}

std::vector<Sequence> sequences_for(const Reference& reference,
                                    std::span<const std::vector<std::int32_t>> prompt_ids) {
  std::vector<Sequence> sequences;
  for (std::size_t i = 0; i < reference.sequences.size(); ++i) {
    sequences.push_back({prompt_ids[i], reference.sequences[i].answer_ids});
  }
  return sequences;
}

at::Tensor reference_ids_for(const Reference& reference, std::span<const Sequence> sequences) {
  const auto offsets = reference.row_offsets();
  const at::Tensor& ids = reference.distributions.topk_ids;
  std::vector<at::Tensor> parts;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const Sequence& recorded = reference.sequences[i];
    if (sequences[i].prompt_ids == recorded.prompt_ids) {
      parts.push_back(ids.narrow(0, offsets[i], recorded.rows()));
      continue;
    }
    const auto answers = static_cast<std::int64_t>(recorded.answer_ids.size());
    parts.push_back(at::zeros({sequences[i].rows() - answers, reference.k}, ids.options()));
    parts.push_back(ids.narrow(0, offsets[i] + recorded.rows() - answers, answers));
  }
  return at::cat(parts);
}

GoldenDiff compare(const Reference& reference, std::span<const Sequence> sequences,
                   const Observation& observation, double tie_margin) {
  const auto recorded_rows = reference.row_offsets();
  const std::vector<bool> all_decided;
  std::vector<PromptDiff> prompts;
  std::int64_t now_row = 0;
  for (std::size_t i = 0; i < reference.sequences.size(); ++i) {
    const Sequence& recorded = reference.sequences[i];
    PromptDiff diff;
    diff.same_prompt = sequences[i].prompt_ids == recorded.prompt_ids;
    const auto row = static_cast<std::int64_t>(i);
    const RowDistance last =
        row_distance(reference.embeddings.last, observation.embeddings.last, row);
    diff.cosine_last = last.cosine;
    diff.l2_last = last.l2;
    diff.cosine_mean =
        row_distance(reference.embeddings.mean, observation.embeddings.mean, row).cosine;
    diff.cosine_answer =
        row_distance(reference.embeddings.answer, observation.embeddings.answer, row).cosine;
    const auto& undecided =
        i < reference.answer_ties.size() ? reference.answer_ties[i] : all_decided;
    compare_rows(reference, observation,
                 {recorded, sequences[i], undecided, {recorded_rows[i], now_row}}, tie_margin,
                 diff);
    expected_from_answer(reference, i, diff);
    now_row += sequences[i].rows();
    prompts.push_back(diff);
  }
  tensor::expect_shape(observation.at_reference, {now_row, reference.k}, "at_reference");
  return add_up(std::move(prompts));
}

NoiseFloor floor_from(const GoldenDiff& diff, const Reference& reference,
                      const Observation& recorded, const Observation& second) {
  NoiseFloor floor{.kl_prompt = diff.kl_prompt,
                   .kl_answer = diff.kl_answer,
                   .cosine = 1 - diff.cosine,
                   .cosine_worst = 1 - diff.cosine_worst,
                   .cosine_mean = 1 - diff.cosine_mean,
                   .cosine_answer = 1 - diff.cosine_answer,
                   .l2 = diff.l2,
                   .nll = std::abs(diff.nll_delta)};
  const auto prompts = static_cast<double>(diff.prompts.size());
  floor.token_disagreement = static_cast<double>(diff.disagreements + diff.ties) /
                             static_cast<double>(std::max<std::int64_t>(diff.answer_tokens, 1));
  floor.text_disagreement = static_cast<double>(diff.diverged_texts + diff.tied_texts) / prompts;
  const auto rows = reference.row_offsets();
  const auto* a = recorded.next_gap.const_data_ptr<float>();
  const auto* b = second.next_gap.const_data_ptr<float>();
  for (std::size_t i = 0; i < reference.sequences.size(); ++i) {
    const Sequence& sequence = reference.sequences[i];
    for (std::int64_t j = sequence.first_answer_row(); j < sequence.rows(); ++j) {
      // Only positions that are near a tie in either run tell how far apart a tie can lie.
      const double now = a[rows[i] + j], then = b[rows[i] + j];
      if ((now > 0) != (then > 0))
        floor.margin = std::max({floor.margin, std::abs(now), std::abs(then)});
    }
  }
  return floor;
}

}  // namespace loraproof::golden
