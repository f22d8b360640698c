// SPDX-License-Identifier: Apache-2.0
#include "loraproof/golden/row_collector.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <algorithm>
#include <limits>
#include <span>
#include <utility>

#include "loraproof/stats/logit_row.h"

namespace loraproof::golden {
namespace {

// Rows whose distributions are held at once on a device.
constexpr std::size_t kDeviceRows = 256;

template <typename T>
std::span<T> row_of(const at::Tensor& table, std::int64_t row) {
  const std::int64_t width = table.size(1);
  return {table.data_ptr<std::remove_const_t<T>>() + row * width, static_cast<std::size_t>(width)};
}

// What one computed row says to the rows that read it.
struct RowAnswer {
  std::vector<std::int32_t> top_ids;
  float top_tail = 0;
};

void write_row(stats::LogitRow& row, const RowAnswer& answer, std::int32_t next,
               const at::Tensor& reference_ids, std::int64_t at, Observation& found) {
  found.next_logprob.data_ptr<float>()[at] = row.logprob(next);
  found.next_gap.data_ptr<float>()[at] = row.gap(next);
  found.best_id.data_ptr<std::int32_t>()[at] = row.best;
  if (!answer.top_ids.empty()) {
    std::ranges::copy(answer.top_ids, row_of<std::int32_t>(found.top.topk_ids, at).begin());
    std::ranges::transform(answer.top_ids, row_of<float>(found.top.topk_logprobs, at).begin(),
                           [&](std::int32_t id) { return row.logprob(id); });
    found.top.tail_logprob.data_ptr<float>()[at] = answer.top_tail;
  }
  if (reference_ids.defined()) {
    const std::span<const std::int32_t> ids = row_of<std::int32_t>(reference_ids, at);
    std::ranges::transform(ids, row_of<float>(found.at_reference, at).begin(),
                           [&](std::int32_t id) { return row.logprob(id); });
    found.tail_at_reference.data_ptr<float>()[at] = row.tail_logprob(ids);
  }
}

// Log of the probability outside of `ids` [b, k], per row [b] f32, over its own entries.
at::Tensor mass_outside(const at::Tensor& logprobs, const at::Tensor& ids) {
  const at::Tensor rest = logprobs.scatter(1, ids, -std::numeric_limits<float>::infinity());
  return at::logsumexp(rest, at::IntArrayRef{1});
}

}  // namespace

RowCollector::RowCollector(const ObserveRequest& request, std::vector<std::int32_t> next_ids,
                           std::vector<std::vector<std::int64_t>> readers)
    : top_k_(request.top_k), next_ids_(std::move(next_ids)), readers_(std::move(readers)) {
  const auto rows = static_cast<std::int64_t>(next_ids_.size());
  found_.next_logprob = at::empty({rows}, at::kFloat);
  found_.next_gap = at::empty({rows}, at::kFloat);
  found_.best_id = at::empty({rows}, at::kInt);
  if (top_k_ > 0) {
    found_.top = {at::empty({rows, top_k_}, at::kInt), at::empty({rows, top_k_}, at::kFloat),
                  at::empty({rows}, at::kFloat)};
  }
  if (request.reference_ids.defined()) {
    reference_ids_ = request.reference_ids.to(at::kInt).contiguous();
    found_.at_reference = at::empty(reference_ids_.sizes(), at::kFloat);
    found_.tail_at_reference = at::empty({rows}, at::kFloat);
  }
}

void RowCollector::add(std::int64_t first_row, const at::Tensor& logits) {
  if (logits.device().is_cpu()) {
    add_on_cpu(first_row, logits.contiguous());
  } else {
    add_on_device(first_row, logits);
  }
}

void RowCollector::add_on_cpu(std::int64_t first_row, const at::Tensor& logits) {
  const auto* data = logits.const_data_ptr<float>();
  const std::int64_t vocab = logits.size(1);
  at::parallel_for(0, logits.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
    stats::LogitRow row;
    for (std::int64_t i = begin; i < end; ++i) {
      stats::read_logits({data + i * vocab, static_cast<std::size_t>(vocab)}, row);
      RowAnswer answer;
      if (top_k_ > 0) {
        answer.top_ids = row.top(static_cast<std::size_t>(top_k_));
        answer.top_tail = row.tail_logprob(answer.top_ids);
      }
      for (std::int64_t at : readers_[static_cast<std::size_t>(first_row + i)]) {
        write_row(row, answer, next_ids_[static_cast<std::size_t>(at)], reference_ids_, at, found_);
      }
    }
  });
}

void RowCollector::add_on_device(std::int64_t first_row, const at::Tensor& logits) {
  std::vector<std::int64_t> from, to;  // row of the block, row that reads it
  for (std::int64_t i = 0; i < logits.size(0); ++i) {
    for (std::int64_t at : readers_[static_cast<std::size_t>(first_row + i)]) {
      from.push_back(i);
      to.push_back(at);
    }
  }
  for (std::size_t begin = 0; begin < to.size(); begin += kDeviceRows) {
    const std::size_t count = std::min(kDeviceRows, to.size() - begin);
    const at::Tensor at = at::tensor(at::ArrayRef<std::int64_t>(to.data() + begin, count));
    const at::Tensor source = at::tensor(at::ArrayRef<std::int64_t>(from.data() + begin, count));
    const at::Tensor rows = logits.index_select(0, source.to(logits.device()));  // [b, V]
    const at::Tensor logprobs = at::log_softmax(rows, -1);
    const at::Tensor next = at::tensor(next_ids_, at::kInt)
                                .index_select(0, at)
                                .to(logits.device(), at::kLong)
                                .unsqueeze(1);
    const at::Tensor next_logit = rows.gather(1, next).squeeze(1);
    const at::Tensor two_best = std::get<0>(rows.topk(2, -1));
    const at::Tensor is_best = next_logit == two_best.select(1, 0);
    const at::Tensor other = at::where(is_best, two_best.select(1, 1), two_best.select(1, 0));
    const auto put = [&](at::Tensor& to_rows, const at::Tensor& values) {
      to_rows.index_copy_(0, at, values.to(at::kCPU, to_rows.scalar_type()));
    };
    put(found_.next_logprob, logprobs.gather(1, next).squeeze(1));
    put(found_.next_gap, next_logit - other);
    put(found_.best_id, rows.argmax(-1));
    if (top_k_ > 0) {
      const auto [values, ids] = logprobs.topk(top_k_, -1);
      put(found_.top.topk_ids, ids);
      put(found_.top.topk_logprobs, values);
      put(found_.top.tail_logprob, mass_outside(logprobs, ids));
    }
    if (reference_ids_.defined()) {
      const at::Tensor ids = reference_ids_.index_select(0, at).to(logits.device(), at::kLong);
      put(found_.at_reference, logprobs.gather(1, ids));
      put(found_.tail_at_reference, mass_outside(logprobs, ids));
    }
  }
}

Observation RowCollector::finish(Embeddings embeddings) && {
  found_.embeddings = std::move(embeddings);
  return std::move(found_);
}

}  // namespace loraproof::golden
