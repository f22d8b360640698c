// SPDX-License-Identifier: Apache-2.0
#include "loraproof/golden/lane_divergence.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <map>
#include <utility>

#include "loraproof/golden/laid_rows.h"

namespace loraproof::golden {
namespace {

std::span<const float> row_of(const at::Tensor& logits, std::int64_t row) {
  const std::int64_t width = logits.size(1);
  return {logits.const_data_ptr<float>() + row * width, static_cast<std::size_t>(width)};
}

// Blocks of logits, lane by lane, into the rows of the sequences.
class Collector {
 public:
  Collector(std::span<const Sequence> sequences, std::span<const ComparedLane> lanes,
            const std::vector<std::vector<std::int64_t>>& readers)
      : next_(next_ids_of(sequences)), lanes_(lanes), readers_(readers), found_(lanes.size()) {
    for (LaneDivergence& lane : found_) {
      lane.tokens.resize(next_.size());
      lane.best_id.resize(next_.size());
      lane.gap.resize(next_.size());
    }
  }

  void add(std::size_t lane, std::int64_t first, const at::Tensor& block) {
    const at::Tensor logits = block.to(at::kCPU).contiguous();
    const std::size_t against = lanes_[lane].against;
    if (against == lane) {
      references_[lane].logits = logits;
      references_[lane].rows.resize(static_cast<std::size_t>(logits.size(0)));
    }
    std::vector<stats::LogitRow>& reference = references_.at(against).rows;
    at::parallel_for(0, logits.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
      stats::LogitRow own;
      for (std::int64_t i = begin; i < end; ++i) {
        stats::LogitRow& base = reference[static_cast<std::size_t>(i)];
        stats::LogitRow& row = against == lane ? base : own;
        stats::read_logits(row_of(logits, i), row);
        for (const std::int64_t at : readers_[static_cast<std::size_t>(first + i)])
          put(found_[lane], static_cast<std::size_t>(at), base, row);
      }
    });
  }

  std::vector<LaneDivergence> finish() && { return std::move(found_); }

 private:
  void put(LaneDivergence& lane, std::size_t at, const stats::LogitRow& base,
           const stats::LogitRow& row) const {
    lane.tokens[at] = stats::token_divergence(base, row, next_[at]);
    lane.best_id[at] = row.best;
    lane.gap[at] = row.gap(next_[at]);
  }

  struct Block {
    at::Tensor logits;  // that the rows are views of
    std::vector<stats::LogitRow> rows;
  };

  std::vector<std::int32_t> next_;
  std::span<const ComparedLane> lanes_;
  const std::vector<std::vector<std::int64_t>>& readers_;
  std::vector<LaneDivergence> found_;
  std::map<std::size_t, Block> references_;  // by lane
};

// Only the computed rows that some answer's row reads.
ReadRows answers_only(ReadRows all, const RowPlaces& places) {
  ReadRows kept;
  std::vector<std::int64_t> index;
  for (std::size_t m = 0; m < all.readers.size(); ++m) {
    std::vector<std::int64_t> readers;
    for (const std::int64_t at : all.readers[m])
      if (places.is_answer[static_cast<std::size_t>(at)]) readers.push_back(at);
    if (readers.empty()) continue;
    index.push_back(static_cast<std::int64_t>(m));
    kept.readers.push_back(std::move(readers));
  }
  kept.hidden = all.hidden.index_select(0, at::tensor(index, at::kLong).to(all.hidden.device()));
  return kept;
}

}  // namespace

RowPlaces row_places(std::span<const Sequence> sequences) {
  RowPlaces places;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    for (std::int64_t row = 0; row < sequences[i].rows(); ++row) {
      places.prompt.push_back(static_cast<std::int64_t>(i));
      places.is_answer.push_back(row >= sequences[i].first_answer_row());
    }
  }
  return places;
}

std::vector<std::vector<double>> layer_errors(engine::LayerStore& store,
                                              std::span<const Sequence> sequences,
                                              const engine::Lane& reference,
                                              std::span<const engine::Lane* const> lanes,
                                              Progress& progress) {
  const Laid laid = lay_out(sequences, store.config().rope, {}, 0);
  std::vector<engine::Run> runs;
  for (const engine::Pack& pack : laid.packed.packs)
    runs.push_back({.lane = &reference, .pack = &pack});
  progress.begin("layers", store.config().num_layers, "layers");
  auto errors = engine::layer_errors(store, runs, lanes, progress);
  progress.end();
  return errors;
}

std::vector<LaneDivergence> diverge(engine::LayerStore& store, const DivergenceRequest& request,
                                    Progress& progress, const engine::Packing& packing) {
  const c10::InferenceMode no_autograd;
  const std::size_t count = request.lanes.size();
  Laid laid = lay_out(request.sequences, store.config().rope, packing, 0);
  const std::size_t packs = laid.packed.packs.size();
  std::vector<engine::Run> runs;
  for (const ComparedLane& lane : request.lanes) {
    for (std::size_t p = 0; p < packs; ++p) {
      engine::Run run{.lane = lane.lane, .pack = &laid.packed.packs[p]};
      if (lane.fork) run.fork = {.run = lane.fork->lane * packs + p, .layer = lane.fork->layer};
      runs.push_back(run);
    }
  }
  progress.begin("sweep", store.config().num_layers, "layers");
  const std::vector<at::Tensor> hidden = engine::sweep(store, runs, progress);

  const RowPlaces places = row_places(request.sequences);
  std::vector<engine::LaneRows> lanes;
  std::vector<std::vector<std::int64_t>> readers;
  for (std::size_t i = 0; i < count; ++i) {
    laid.first_run = i * packs;
    ReadRows rows = rows_that_are_read(request.sequences, laid, hidden);
    if (request.rows == RowsRead::Answers) rows = answers_only(std::move(rows), places);
    lanes.push_back({request.lanes[i].lane, rows.hidden});
    if (i == 0) readers = std::move(rows.readers);
  }
  Collector collector(request.sequences, request.lanes, readers);
  progress.begin("logits", lanes.front().hidden.size(0) * static_cast<std::int64_t>(count),
                 "positions");
  engine::visit_logits_side_by_side(
      store, lanes,
      [&](std::size_t lane, std::int64_t first, const at::Tensor& logits) {
        collector.add(lane, first, logits);
      },
      progress);
  progress.end();
  std::vector<LaneDivergence> found = std::move(collector).finish();
  for (std::size_t i = 0; i < count; ++i) {
    laid.first_run = i * packs;
    found[i].embeddings = embeddings_of(request.sequences, laid, hidden);
  }
  return found;
}

}  // namespace loraproof::golden
