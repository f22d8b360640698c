// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/live_reference.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "loraproof/commands/recording.h"
#include "loraproof/golden/compare.h"
#include "loraproof/golden/observe.h"

namespace loraproof::commands {
namespace {

std::vector<golden::Sequence> recorded_answers(const LiveReferenceRequest& request) {
  const GoldenJob& job = request.job;
  const std::filesystem::path folder =
      job.suite.folder / "references" / job.session.adapters.front().input.name;
  if (!request.take_recorded || !std::filesystem::exists(folder)) return {};
  golden::Reference reference = golden::read_reference(folder);
  if (reference.suite_digest != job.suite.digest) return {};
  if (!std::ranges::equal(reference.sequences, request.prompt_ids, {},
                          &golden::Sequence::prompt_ids))
    return {};
  return std::move(reference.sequences);
}

// The base on the adapter's answers. What it would say instead nobody asks here.
golden::BaseFigures run_base(const GoldenJob& job, const golden::Reference& reference,
                             engine::LayerStore& store, Progress& progress) {
  const engine::Lane lane = job.lane(nullptr, job.compute);
  const golden::ObserveRequest request{.lane = &lane,
                                       .sequences = reference.sequences,
                                       .reference_ids = reference.distributions.topk_ids};
  const auto observed = golden::observe(store, {&request, 1}, progress);
  const golden::GoldenDiff diff =
      golden::compare(reference, reference.sequences, observed.front(), 0.0);
  return {.kl_prompt = diff.kl_prompt,
          .kl_answer = diff.kl_answer,
          .cosine = diff.cosine,
          .equal_texts = diff.equal_texts};
}

}  // namespace

golden::Reference live_reference(const LiveReferenceRequest& request, engine::LayerStore& store,
                                 Progress& progress) {
  const GoldenJob& job = request.job;
  Recording recording{
      &job.session.adapters.front(), {}, new_reference(job, request.tool, request.text)};
  golden::Reference& reference = recording.reference;
  std::optional<golden::Observation> seen;
  reference.sequences = recorded_answers(request);
  if (!reference.sequences.empty()) {
    seen = score_answers(job, request.text, store, recording, progress);
    // Other answers than this lane's own would hide where another one leaves it.
    const auto undecided = [](const std::vector<bool>& ties) {
      return std::ranges::count(ties, true) > 0;
    };
    if (std::ranges::any_of(reference.answer_ties, undecided)) seen.reset();
  }
  if (!seen) {
    decode_answers(job, store, request.prompt_ids, recording, progress);
    seen = score_answers(job, request.text, store, recording, progress);
  }
  measure_floor(job, *seen, store, recording, progress);
  reference.base_figures = run_base(job, reference, store, progress);
  return std::move(reference);
}

}  // namespace loraproof::commands
