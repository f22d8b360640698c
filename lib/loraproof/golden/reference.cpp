// SPDX-License-Identifier: Apache-2.0
#include "loraproof/golden/reference.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "loraproof/core/error.h"
#include "loraproof/golden/reference_format.h"

namespace loraproof::golden {
namespace {

constexpr FloorField kFloorFields[] = {
    {"kl_prompt", &NoiseFloor::kl_prompt},
    {"kl_answer", &NoiseFloor::kl_answer},
    {"cosine", &NoiseFloor::cosine},
    {"cosine_worst", &NoiseFloor::cosine_worst},
    {"cosine_mean", &NoiseFloor::cosine_mean},
    {"cosine_answer", &NoiseFloor::cosine_answer},
    {"l2", &NoiseFloor::l2},
    {"nll", &NoiseFloor::nll},
    {"token_disagreement", &NoiseFloor::token_disagreement},
    {"text_disagreement", &NoiseFloor::text_disagreement},
    {"margin", &NoiseFloor::margin},
};

}  // namespace

std::span<const FloorField> floor_fields() { return kFloorFields; }

NoiseFloor larger_of(const NoiseFloor& a, const NoiseFloor& b) {
  NoiseFloor larger;
  for (const FloorField& field : kFloorFields) {
    larger.*field.member = std::max(a.*field.member, b.*field.member);
  }
  return larger;
}

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

std::filesystem::path find_reference(const std::filesystem::path& suite_folder,
                                     const std::string& name) {
  const std::filesystem::path references = suite_folder / "references";
  std::vector<std::string> names;
  std::error_code code;
  for (const auto& entry : std::filesystem::directory_iterator(references, code)) {
    if (std::filesystem::exists(entry.path() / kReferenceMeta))
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
