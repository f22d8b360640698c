// SPDX-License-Identifier: Apache-2.0
#include "loraproof/merge/plan.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/io/element_values.h"
#include "loraproof/merge/rounding.h"

namespace loraproof::merge {
namespace {

using adapter::BaseModule;
using adapter::PlacedModule;

// What all adapters together do to one stored tensor.
struct Edit {
  std::string module;
  LowRank change;
  std::vector<double> magnitude;
  const io::TensorView* replacement = nullptr;
  std::string replaced_by;  // name of the adapter
  int changes = 0;          // adapters with a low-rank change
};

class Planner {
 public:
  Planner(const io::Checkpoint& base, const BaseLayout& layout,
          const std::vector<MergeAdapter>& adapters, std::optional<io::DType> out)
      : base_(base), layout_(layout), adapters_(adapters), out_(out) {}

  MergePlan plan() {
    for (const MergeAdapter& adapter : adapters_) {
      for (const auto& [path, placed] : adapter.placement->modules) add(adapter, path, placed);
    }
    untie_head();
    for (const io::SafetensorsFile& file : base_.files()) add_file(file);
    return std::move(plan_);
  }

 private:
  void add(const MergeAdapter& adapter, const std::string& path, const PlacedModule& placed) {
    const StoredModule& stored = layout_.stored.at(path);
    const bool own_head = path == layout_.head && !path.empty();
    // A tied head is edited under a name of its own; untie_head() decides whether it is needed.
    const std::string weight = own_head ? path + ".weight" : stored.weight;
    if (placed.weight != nullptr) replace(adapter, path, weight, *placed.weight);
    if (placed.has_lora()) add_change(adapter, path, weight, placed, stored.transposed);
    if (placed.bias != nullptr) replace(adapter, path, bias_of(path, stored), *placed.bias);
    if (placed.lora_bias != nullptr) add_bias(adapter, path, bias_of(path, stored), placed);
  }

  static const std::string& bias_of(const std::string& path, const StoredModule& stored) {
    if (!stored.bias.empty()) return stored.bias;
    throw input_error({.message = "the adapter has a bias where the base has none",
                       .where = path,
                       .hint = "serve it unmerged: no checkpoint of this base can hold it"});
  }

  Edit& edit(const std::string& tensor, const std::string& path) {
    Edit& edit = edits_[tensor];
    edit.module = path;
    return edit;
  }

  void replace(const MergeAdapter& adapter, const std::string& path, const std::string& tensor,
               const io::TensorView& by) {
    Edit& one = edit(tensor, path);
    if (adapter.weight != 1) {
      throw input_error({.message = "a weight that the adapter replaces can't be weighted",
                         .where = path,
                         .found = fmt::format("--weight {}={}", adapter.name, adapter.weight)});
    }
    if (one.replacement != nullptr && !std::ranges::equal(one.replacement->bytes, by.bytes)) {
      throw input_error({.message = "two adapters replace the same weight by different ones",
                         .where = path,
                         .found = one.replaced_by + " and " + adapter.name});
    }
    one.replacement = &by;
    one.replaced_by = adapter.name;
  }

  void add_change(const MergeAdapter& adapter, const std::string& path, const std::string& tensor,
                  const PlacedModule& placed, bool transposed) {
    Edit& one = edit(tensor, path);
    const BaseModule& module = layout_.modules.at(path);
    // PEFT: an embedding's delta is (B A)^T, and so is a Conv1D's, whose weight is [in, out].
    const bool embedding = module.kind == BaseModule::Kind::Embedding;
    const bool turned = embedding || transposed;
    one.change.rows = transposed ? module.in : module.out;
    one.change.columns = transposed ? module.out : module.in;
    const io::TensorView& left = turned ? *placed.lora_a : *placed.lora_b;
    const io::TensorView& right = turned ? *placed.lora_b : *placed.lora_a;
    one.change.add(left, turned, right, turned, placed.scale * adapter.weight);
    ++one.changes;
    if (placed.magnitude != nullptr) {
      if (turned) {
        throw input_error({.message = "DoRA on this kind of layer can't be merged yet",
                           .where = path,
                           .hint = "serve the adapter unmerged"});
      }
      if (adapter.weight != 1) {
        throw input_error({.message = "DoRA is not linear, so it can't be weighted",
                           .where = path,
                           .found = fmt::format("--weight {}={}", adapter.name, adapter.weight)});
      }
      one.magnitude = io::widened(*placed.magnitude);
    }
    if (one.changes > 1 && !one.magnitude.empty()) {
      throw input_error({.message = "DoRA is not linear: it can't be merged with another adapter "
                                    "on the same weight",
                         .where = path,
                         .hint = "merge one adapter, or serve both unmerged"});
    }
  }

  void add_bias(const MergeAdapter& adapter, const std::string& path, const std::string& tensor,
                const PlacedModule& placed) {
    Edit& one = edit(tensor, path);
    one.change.rows = placed.lora_bias->numel();
    one.change.columns = 1;
    // A product of the bias and 1, so that it takes part in the sum like any other change.
    one.change.left =
        widened_by_column(one.change.left, io::widened(*placed.lora_bias), one.change.rank());
    one.change.right.push_back(1);
    one.change.add_scale(placed.scale * adapter.weight, 1);
  }

  static std::vector<double> widened_by_column(const std::vector<double>& left,
                                               const std::vector<double>& column,
                                               std::int64_t rank) {
    std::vector<double> out;
    for (std::size_t row = 0; row < column.size(); ++row) {
      const auto begin = left.begin() + static_cast<std::ptrdiff_t>(row) * rank;
      out.insert(out.end(), begin, begin + rank);
      out.push_back(column[row]);
    }
    return out;
  }

  // Head and embedding stay one tensor only where both get the same.
  void untie_head() {
    if (layout_.head.empty()) return;
    const std::string head = layout_.head + ".weight";
    const std::string& embedding = layout_.stored.at(layout_.embedding).weight;
    const auto head_edit = edits_.find(head);
    const auto embedding_edit = edits_.find(embedding);
    if (head_edit == edits_.end() && embedding_edit == edits_.end()) return;
    const bool same = head_edit != edits_.end() && embedding_edit != edits_.end() &&
                      head_edit->second.change.empty() && embedding_edit->second.change.empty() &&
                      std::ranges::equal(head_edit->second.replacement->bytes,
                                         embedding_edit->second.replacement->bytes);
    if (same) {
      edits_.erase(head_edit);
    } else {
      plan_.untied_head = head;
    }
  }

  void add_file(const io::SafetensorsFile& file) {
    PlannedFile planned{.name = file.file().path().filename().string(), .source = &file};
    const std::string embedding =
        plan_.untied_head.empty() ? "" : layout_.stored.at(layout_.embedding).weight;
    const io::TensorView* tied = nullptr;
    for (const io::TensorView& view : file.tensors()) {
      add_tensor(planned, view, view.name);
      if (view.name == embedding) tied = &view;
    }
    if (tied != nullptr) {
      add_tensor(planned, *tied, plan_.untied_head);
      planned.same_header = false;
    }
    plan_.files.push_back(std::move(planned));
  }

  void add_tensor(PlannedFile& file, const io::TensorView& base, const std::string& name) {
    PlannedTensor tensor{.spec = {name, base.dtype, base.shape}, .source = &base};
    if (out_ && is_mergeable(base.dtype)) tensor.spec.dtype = *out_;
    file.same_header = file.same_header && tensor.spec.dtype == base.dtype;
    if (const auto found = edits_.find(name); found != edits_.end()) {
      Edit& edit = found->second;
      if (!is_mergeable(base.dtype) || tensor.spec.dtype == io::DType::F64) {
        throw input_error({.message = "this weight can't be merged into",
                           .where = name,
                           .expected = "BF16, F16 or F32",
                           .found = std::string(name_of(base.dtype))});
      }
      tensor.module = edit.module;
      tensor.replaced = edit.replacement != nullptr;
      if (tensor.replaced) tensor.source = edit.replacement;
      tensor.change = std::move(edit.change);
      tensor.magnitude = std::move(edit.magnitude);
      ++plan_.touched;
    }
    plan_.output_bytes += *io::byte_count(tensor.spec.dtype, tensor.spec.shape);
    file.tensors.push_back(std::move(tensor));
  }

  const io::Checkpoint& base_;
  const BaseLayout& layout_;
  const std::vector<MergeAdapter>& adapters_;
  std::optional<io::DType> out_;
  std::map<std::string, Edit> edits_;  // by tensor
  MergePlan plan_;
};

}  // namespace

MergePlan plan_merge(const io::Checkpoint& base, const BaseLayout& layout,
                     const std::vector<MergeAdapter>& adapters, std::optional<io::DType> out) {
  return Planner(base, layout, adapters, out).plan();
}

}  // namespace loraproof::merge
