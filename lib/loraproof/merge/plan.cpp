// SPDX-License-Identifier: Apache-2.0
#include "loraproof/merge/plan.h"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <memory>
#include <utility>

#include "loraproof/core/error.h"
#include "loraproof/io/element_values.h"
#include "loraproof/merge/method_changes.h"
#include "loraproof/merge/rounding.h"
#include "loraproof/merge/svd.h"

namespace loraproof::merge {
namespace {

using adapter::BaseModule;
using adapter::PlacedModule;

// What all adapters together do to one stored tensor.
struct Edit {
  std::string module;
  std::map<std::int64_t, Change> changes;  // by first row
  const io::TensorView* replacement = nullptr;
  std::string replaced_by;  // name of the adapter
};

// A row that an adapter holds whole.
class ReplacedRow : public RowTransform {
 public:
  ReplacedRow(const io::TensorView& rows, std::size_t row) {
    Factor one = Factor::of(rows);
    one.offset = static_cast<std::int64_t>(row) * one.row_step;
    one.rows = 1;
    values_ = one.values();
  }
  void apply(std::int64_t, std::span<const double>, std::span<double> merged) const override {
    std::ranges::copy(values_, merged.begin());
  }

 private:
  std::vector<double> values_;
};

class Planner {
 public:
  Planner(const io::Checkpoint& base, const BaseLayout& layout,
          const std::vector<MergeAdapter>& adapters, const PlanOptions& options)
      : base_(base), layout_(layout), adapters_(adapters), options_(options) {
    if (adapters.size() == 1) options_.combine.how = Combination::Cat;  // as PEFT does
  }

  MergePlan plan() {
    for (const MergeAdapter& adapter : adapters_) {
      for (const auto& [path, placed] : adapter.placement->modules) add(adapter, path, placed);
    }
    combine_products();
    untie_head();
    if (options_.base_scheme != nullptr) expect_linear_layers();
    if (layout_.resized) plan_.vocab_size = layout_.vocab_size;
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
    if (placed.token_rows != nullptr) add_tokens(adapter, path, weight, placed);
    if (placed.has_lora() && placed.experts > 0) {
      add_experts(adapter, path, stored, placed);
    } else if (placed.has_lora()) {
      add_change(adapter, path, weight, placed, stored.transposed);
    }
    if (placed.method) add_method(adapter, path, weight, placed);
    if (placed.bias != nullptr) replace(adapter, path, bias_of(path, stored), *placed.bias);
    if (placed.lora_bias != nullptr) add_bias(adapter, path, bias_of(path, stored), placed);
  }

  static const std::string& bias_of(const std::string& path, const StoredModule& stored) {
    if (!stored.bias.empty()) return stored.bias;
    throw input_error({.id = "merge.bias_missing",
                       .message = "the adapter has a bias where the base has none",
                       .where = path,
                       .hint = "serve it unmerged: no checkpoint of this base can hold it"});
  }

  Edit& edit(const std::string& tensor, const std::string& path) {
    Edit& edit = edits_[tensor];
    edit.module = path;
    return edit;
  }

  [[noreturn]] static void refuse_weight(const MergeAdapter& adapter, const std::string& path) {
    throw input_error({.id = "merge.weighted_replacement",
                       .message = "a weight that the adapter replaces can't be weighted",
                       .where = path,
                       .found = fmt::format("--weight {}={}", adapter.name, adapter.weight)});
  }

  void replace(const MergeAdapter& adapter, const std::string& path, const std::string& tensor,
               const io::TensorView& by) {
    const io::TensorView* before = base_.find(tensor);
    if (before != nullptr && is_mergeable(before->dtype)) {
      const std::int64_t differing = io::count_differing(*before, by);
      if (differing == 0) return;  // PEFT saved what it did not change
      const PlacedModule& placed = adapter.placement->modules.at(path);
      if ((placed.has_lora() || placed.method) && placed.weight == &by && before->shape == by.shape)
        plan_.foreign.push_back({adapter.name, path, differing, by.numel()});
    }
    Edit& one = edit(tensor, path);
    if (adapter.weight != 1) refuse_weight(adapter, path);
    if (one.replacement != nullptr && !std::ranges::equal(one.replacement->bytes, by.bytes)) {
      throw input_error({.id = "merge.two_replacements",
                         .message = "two adapters replace the same weight by different ones",
                         .where = path,
                         .found = one.replaced_by + " and " + adapter.name});
    }
    one.replacement = &by;
    one.replaced_by = adapter.name;
  }

  [[noreturn]] static void refuse_sum(const std::string& path) {
    throw input_error({.id = "merge.two_row_changes",
                       .message = "two adapters change the same rows in ways that can't be summed",
                       .where = path,
                       .hint = "merge one adapter, or serve both unmerged"});
  }

  // The change of these rows, to which all adapters add.
  Change& rows_of(const std::string& tensor, const std::string& path, std::int64_t first,
                  std::int64_t rows, std::int64_t columns) {
    Edit& one = edit(tensor, path);
    const auto next = one.changes.lower_bound(first);
    const bool same = next != one.changes.end() && next->first == first &&
                      next->second.rows == rows && !next->second.transform;
    const bool clash = !same && ((next != one.changes.end() && next->first < first + rows) ||
                                 (next != one.changes.begin() &&
                                  std::prev(next)->first + std::prev(next)->second.rows > first));
    if (clash) refuse_sum(path);
    Change& change = one.changes[first];
    change.first_row = first;
    change.rows = rows;
    change.columns = columns;
    return change;
  }

  [[noreturn]] void refuse_combination(const std::string& path, std::string_view what) {
    throw input_error({.id = "merge.not_combinable",
                       .message = fmt::format("{} can't be combined in this way", what),
                       .where = path,
                       .hint = "--combine cat adds the changes as they are"});
  }

  void add_change(const MergeAdapter& adapter, const std::string& path, const std::string& tensor,
                  const PlacedModule& placed, bool transposed) {
    const BaseModule& module = layout_.modules.at(path);
    // PEFT: an embedding's delta is (B A)^T, and so is a Conv1D's, whose weight is [in, out].
    const bool turned = module.kind == BaseModule::Kind::Embedding || transposed;
    const Factor a = Factor::of(*placed.lora_a), b = Factor::of(*placed.lora_b);
    const Factor left = turned ? a.turned() : b, right = turned ? b.turned() : a;
    Change& change = rows_of(tensor, path, 0, left.rows, right.columns);
    if (options_.combine.how == Combination::Cat) {
      add_product(change, left, right, placed.scale * adapter.weight);
    } else {
      to_combine_[{tensor, path}].push_back({left, right, placed.scale * adapter.weight, turned});
    }
    if (adapter.pissa && module.kind == BaseModule::Kind::Linear)
      subtract_triplets(change, adapter, tensor, left.columns);
    if (placed.magnitude != nullptr) {
      if (adapter.weight != 1) {
        throw input_error({.id = "merge.weighted_dora",
                           .message = "DoRA is not linear, so it can't be weighted",
                           .where = path,
                           .found = fmt::format("--weight {}={}", adapter.name, adapter.weight)});
      }
      change.magnitude = placed.magnitude;
      change.magnitude_of_columns = turned;
    }
    if (change.magnitude != nullptr && dora_in_company(tensor, change)) {
      throw input_error({.id = "merge.dora_and_another",
                         .message = "DoRA is not linear: it can't be merged with another adapter "
                                    "on the same weight",
                         .where = path,
                         .hint = "merge one adapter, or serve both unmerged"});
    }
  }

  [[nodiscard]] bool dora_in_company(const std::string& tensor, const Change& change) {
    int others = 0;
    for (const MergeAdapter& adapter : adapters_) {
      for (const auto& [path, placed] : adapter.placement->modules) {
        const std::string& weight =
            path == layout_.head ? path + ".weight" : layout_.stored.at(path).weight;
        others += (placed.has_lora() || placed.method) && weight == tensor ? 1 : 0;
      }
    }
    return others > 1 && !(change.terms.empty() && change.row_terms.empty());
  }

  void add_method(const MergeAdapter& adapter, const std::string& path, const std::string& tensor,
                  const PlacedModule& placed) {
    const std::string name(name_of(placed.method->method));
    if (options_.combine.how != Combination::Cat) refuse_combination(path, "changes of " + name);
    const BaseModule& module = layout_.modules.at(path);
    const bool embedding = module.kind == BaseModule::Kind::Embedding;
    const std::int64_t rows = module.transposed ? module.in : module.out;
    std::int64_t columns = module.transposed ? module.out : module.in;
    for (const std::int64_t size : module.kernel) columns *= size;
    Change& change = rows_of(tensor, path, 0, rows, columns);
    if (is_sum(placed.method->method)) {
      if (change.magnitude != nullptr) refuse_sum(path);
      if (placed.method->method == adapter::Method::Vera) {
        change.terms.push_back(low_rank_term(placed, module.transposed, adapter.weight));
      } else {
        change.row_terms.push_back(row_term(placed, adapter.weight));
      }
      return;
    }
    if (adapter.weight != 1) {
      throw input_error({.id = "merge.weighted_method",
                         .message = name + " multiplies the weight, so it can't be weighted",
                         .where = path,
                         .found = fmt::format("--weight {}={}", adapter.name, adapter.weight)});
    }
    set_transform(change, path, transform(placed, module.transposed, embedding));
    // A bias that the adapter holds whole replaces the base's before it is scaled.
    if (MakeTransform of_bias = bias_transform(placed); of_bias && module.has_bias) {
      const std::string& bias = layout_.stored.at(path).bias;
      set_transform(rows_of(bias, path, 0, module.out, 1), path, std::move(of_bias));
    }
  }

  // Rows that nothing else changes.
  static void set_transform(Change& change, const std::string& path, MakeTransform transform) {
    if (!change.terms.empty() || !change.row_terms.empty()) refuse_sum(path);
    change.transform = std::move(transform);
  }

  // PiSSA takes the first r triplets out of the weight when an adapter is made or loaded, and the
  // file holds what has become of them (peft 0.21.2 lora/layer.py pissa_init).
  void subtract_triplets(Change& change, const MergeAdapter& adapter, const std::string& tensor,
                         std::int64_t rank) {
    const io::TensorView* stored = base_.find(tensor);
    change.terms.push_back([stored, rank, weight = adapter.weight](LowRank& low_rank) {
      const Svd svd = largest_triplets(*stored, rank);
      low_rank.add(svd.left, svd.right, -weight);
    });
  }

  void combine_products() {
    for (const auto& [where, products] : to_combine_) {
      const auto& [tensor, path] = where;
      const std::int64_t rank = products.front().left.columns;
      const bool equal = std::ranges::all_of(
          products, [&](const Product& product) { return product.left.columns == rank; });
      if (needs_equal_ranks(options_.combine.how) && !equal) {
        throw input_error({.id = "merge.mixed_ranks",
                           .message = "this method combines adapters of one rank only",
                           .where = path,
                           .hint = "--combine cat (exact) and svd take adapters of several ranks"});
      }
      edits_.at(tensor).changes.at(0).terms.push_back(
          [products, options = options_.combine, name = tensor](LowRank& low_rank) {
            combine(low_rank, products, options, name);
          });
    }
  }

  static void add_product(Change& change, const Factor& left, const Factor& right, double scale) {
    change.terms.push_back(
        [left, right, scale](LowRank& low_rank) { low_rank.add(left, right, scale); });
  }

  // A holds the ranks of one expert after the other, B those of all experts side by side for each
  // rank (peft 0.21.2 lora/layer.py ParamWrapper.get_delta_weight).
  void add_experts(const MergeAdapter& adapter, const std::string& path, const StoredModule& stored,
                   const PlacedModule& placed) {
    if (options_.combine.how != Combination::Cat) refuse_combination(path, "parameters of experts");
    const BaseModule& module = layout_.modules.at(path);
    const std::int64_t rank = placed.lora_a->shape.front() / placed.experts;
    const double scale = placed.scale * adapter.weight;
    for (std::int64_t e = 0; e < placed.experts; ++e) {
      Factor a = Factor::of(*placed.lora_a), b = Factor::of(*placed.lora_b);
      a.offset = e * rank * a.row_step;
      a.rows = rank;
      b.offset = e;
      b.column_step = placed.experts;
      b.columns = rank;
      const Factor left = module.transposed ? a.turned() : b;
      const Factor right = module.transposed ? b.turned() : a;
      if (stored.pieces.empty()) {
        add_product(rows_of(stored.weight, path, e * left.rows, left.rows, right.columns), left,
                    right, scale);
        continue;
      }
      for (const StoredPiece& piece : stored.pieces[static_cast<std::size_t>(e)]) {
        Factor part = left;
        part.offset += piece.first * part.row_step;
        part.rows = piece.rows;
        add_product(rows_of(piece.tensor, path, 0, piece.rows, right.columns), part, right, scale);
      }
    }
  }

  void add_bias(const MergeAdapter& adapter, const std::string& path, const std::string& tensor,
                const PlacedModule& placed) {
    if (options_.combine.how != Combination::Cat) refuse_combination(path, "biases of lora_B");
    // A product of the bias and 1, so that it takes part in the sum like any other change.
    const Factor bias = Factor::of(*placed.lora_bias);
    const double scale = placed.scale * adapter.weight;
    rows_of(tensor, path, 0, bias.rows, 1).terms.push_back([bias, scale](LowRank& low_rank) {
      low_rank.add(bias.values(), {1.0}, scale);
    });
  }

  void add_tokens(const MergeAdapter& adapter, const std::string& path, const std::string& tensor,
                  const PlacedModule& placed) {
    if (adapter.weight != 1) refuse_weight(adapter, path);
    const std::int64_t columns = placed.token_rows->shape.back();
    for (std::size_t i = 0; i < placed.tokens->size(); ++i) {
      Change& change = rows_of(tensor, path, (*placed.tokens)[i], 1, columns);
      change.transform = [rows = placed.token_rows, i] {
        return std::make_unique<ReplacedRow>(*rows, i);
      };
      change.is_replaced_row = true;
    }
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
                      head_edit->second.changes.empty() && embedding_edit->second.changes.empty() &&
                      std::ranges::equal(head_edit->second.replacement->bytes,
                                         embedding_edit->second.replacement->bytes);
    // Trained tokens of an embedding reach a tied head as well (peft 0.21.2 utils/other.py).
    const bool tokens =
        head_edit == edits_.end() && embedding_edit->second.replacement == nullptr &&
        std::ranges::all_of(embedding_edit->second.changes,
                            [](const auto& item) { return item.second.is_replaced_row; });
    if (tokens) return;
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
    if (options_.out && is_mergeable(base.dtype)) tensor.spec.dtype = *options_.out;
    file.same_header = file.same_header && tensor.spec.dtype == base.dtype;
    if (const auto found = edits_.find(name); found != edits_.end()) {
      Edit& edit = found->second;
      if (!is_mergeable(base.dtype) || tensor.spec.dtype == io::DType::F64) {
        throw input_error({.id = "merge.stored_type",
                           .message = "this weight can't be merged into",
                           .where = name,
                           .expected = "BF16, F16 or F32",
                           .found = std::string(name_of(base.dtype))});
      }
      tensor.module = edit.module;
      tensor.replaced = edit.replacement != nullptr;
      if (tensor.replaced) tensor.source = edit.replacement;
      tensor.spec.shape = tensor.source->shape;
      file.same_header = file.same_header && tensor.spec.shape == base.shape;
      for (auto& [first, change] : edit.changes) tensor.changes.push_back(std::move(change));
      ++plan_.touched;
    }
    if (options_.base_scheme != nullptr && !tensor.replaced && is_linear(name, base)) {
      tensor.base_scheme = options_.base_scheme;
      ++plan_.dequantised;
    }
    plan_.output_bytes += *io::byte_count(tensor.spec.dtype, tensor.spec.shape);
    file.tensors.push_back(std::move(tensor));
  }

  void expect_linear_layers() const {
    for (const auto& [path, stored] : layout_.stored) {
      if (!stored.transposed && stored.pieces.empty()) continue;
      throw input_error({.id = "merge.base_scheme",
                         .message = "a base scheme is for linear layers that are stored as such: "
                                    "not for stacked experts, nor for GPT-2's Conv1D",
                         .where = path,
                         .hint = "leave --base-scheme out"});
    }
  }

  // The weight of a linear layer that the scheme's library would have replaced.
  [[nodiscard]] bool is_linear(const std::string& name, const io::TensorView& base) const {
    constexpr std::string_view kSuffix = ".weight";
    if (!name.ends_with(kSuffix) || base.shape.size() != 2 || !is_mergeable(base.dtype))
      return false;
    return !quant::skips_by_default(*options_.base_scheme,
                                    name.substr(0, name.size() - kSuffix.size()));
  }

  const io::Checkpoint& base_;
  const BaseLayout& layout_;
  const std::vector<MergeAdapter>& adapters_;
  PlanOptions options_;
  // What combine_products() makes one change of; by tensor and path.
  std::map<std::pair<std::string, std::string>, std::vector<Product>> to_combine_;
  std::map<std::string, Edit> edits_;  // by tensor
  MergePlan plan_;
};

}  // namespace

MergePlan plan_merge(const io::Checkpoint& base, const BaseLayout& layout,
                     const std::vector<MergeAdapter>& adapters, const PlanOptions& options) {
  return Planner(base, layout, adapters, options).plan();
}

}  // namespace loraproof::merge
