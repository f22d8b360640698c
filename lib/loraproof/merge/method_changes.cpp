// SPDX-License-Identifier: Apache-2.0
#include "loraproof/merge/method_changes.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "loraproof/core/error.h"
#include "loraproof/io/element_values.h"
#include "loraproof/merge/rotation.h"

namespace loraproof::merge {
namespace {

using adapter::Method;
using adapter::MethodPart;
using adapter::PlacedMethod;
using adapter::PlacedModule;

// A matrix that is made row by row, as the whole may be as large as the weight.
class RowSource {
 public:
  RowSource() = default;
  RowSource(const RowSource&) = delete;
  RowSource& operator=(const RowSource&) = delete;
  virtual ~RowSource() = default;
  [[nodiscard]] virtual std::int64_t rows() const = 0;
  [[nodiscard]] virtual std::int64_t columns() const = 0;
  /// `out`: [columns]. Thread-safe.
  virtual void row(std::int64_t index, std::span<double> out) const = 0;
};

class StoredRows : public RowSource {
 public:
  explicit StoredRows(const io::TensorView& view)
      : rows_(view.shape.front()), columns_(view.numel() / rows_), values_(io::widened(view)) {}
  [[nodiscard]] std::int64_t rows() const override { return rows_; }
  [[nodiscard]] std::int64_t columns() const override { return columns_; }
  void row(std::int64_t index, std::span<double> out) const override {
    std::copy_n(values_.begin() + index * columns_, columns_, out.begin());
  }

 private:
  std::int64_t rows_, columns_;
  std::vector<double> values_;
};

// out += factor · values
void add_scaled(std::span<double> out, double factor, const double* values) {
  double* __restrict to = out.data();
  for (std::size_t j = 0; j < out.size(); ++j) to[j] += factor * values[j];
}

// A [rows, R] · B [R, columns]
class ProductRows : public RowSource {
 public:
  ProductRows(const io::TensorView& a, const io::TensorView& b)
      : rows_(a.shape.front()),
        rank_(b.shape.front()),
        columns_(b.shape.back()),
        a_(io::widened(a)),
        b_(io::widened(b)) {}
  [[nodiscard]] std::int64_t rows() const override { return rows_; }
  [[nodiscard]] std::int64_t columns() const override { return columns_; }
  void row(std::int64_t index, std::span<double> out) const override {
    std::ranges::fill(out, 0.0);
    for (std::int64_t k = 0; k < rank_; ++k)
      add_scaled(out, a_[static_cast<std::size_t>(index * rank_ + k)], b_.data() + k * columns_);
  }

 private:
  std::int64_t rows_, rank_, columns_;
  std::vector<double> a_, b_;
};

// Of a convolution with a factor for its kernel: row p holds, for each input q and place k,
// sum over i and j of core[i, j, k] · a[i, p] · b[j, q].
class CoreRows : public RowSource {
 public:
  CoreRows(const io::TensorView& core, const io::TensorView& a, const io::TensorView& b)
      : rank_(core.shape[0]),
        kernel_(core.shape[2] * core.shape[3]),
        rows_(a.shape.back()),
        inputs_(b.shape.back()),
        core_(io::widened(core)),
        a_(io::widened(a)),
        b_(io::widened(b)) {}
  [[nodiscard]] std::int64_t rows() const override { return rows_; }
  [[nodiscard]] std::int64_t columns() const override { return inputs_ * kernel_; }
  void row(std::int64_t index, std::span<double> out) const override {
    std::vector<double> mixed(static_cast<std::size_t>(rank_ * kernel_));  // [j, k]
    for (std::int64_t i = 0; i < rank_; ++i) {
      add_scaled(mixed, a_[static_cast<std::size_t>(i * rows_ + index)],
                 core_.data() + i * rank_ * kernel_);
    }
    std::ranges::fill(out, 0.0);
    for (std::int64_t j = 0; j < rank_; ++j) {
      for (std::int64_t q = 0; q < inputs_; ++q) {
        add_scaled(
            out.subspan(static_cast<std::size_t>(q * kernel_), static_cast<std::size_t>(kernel_)),
            b_[static_cast<std::size_t>(j * inputs_ + q)], mixed.data() + j * kernel_);
      }
    }
  }

 private:
  std::int64_t rank_, kernel_, rows_, inputs_;
  std::vector<double> core_, a_, b_;
};

// Of the parts that a factor may consist of, those that the module has.
std::unique_ptr<RowSource> source_of(const PlacedMethod& method, MethodPart a, MethodPart b,
                                     MethodPart core) {
  const io::TensorView& left = *method.parts.at(a);
  const io::TensorView& right = *method.parts.at(b);
  const auto found = method.parts.find(core);
  if (found == method.parts.end()) return std::make_unique<ProductRows>(left, right);
  return std::make_unique<CoreRows>(*found->second, left, right);
}

// D = s · first ∘ second
class HadamardTerm : public RowTerm {
 public:
  HadamardTerm(const PlacedMethod& method, double scale)
      : scale_(scale),
        first_(source_of(method, MethodPart::HadaW1A, MethodPart::HadaW1B, MethodPart::HadaT1)),
        second_(source_of(method, MethodPart::HadaW2A, MethodPart::HadaW2B, MethodPart::HadaT2)) {}
  void add(std::int64_t row, std::span<double> sums) const override {
    std::vector<double> first(sums.size()), second(sums.size());
    first_->row(row, first);
    second_->row(row, second);
    for (std::size_t j = 0; j < sums.size(); ++j) sums[j] += scale_ * (first[j] * second[j]);
  }

 private:
  double scale_;
  std::unique_ptr<RowSource> first_, second_;
};

// D = s · first ⊗ second: row i is row i / n of the first, each value times row i % n of the
// second.
class KroneckerTerm : public RowTerm {
 public:
  KroneckerTerm(const PlacedMethod& method, double scale) : scale_(scale) {
    const auto whole = [&](MethodPart part) -> std::unique_ptr<RowSource> {
      const auto found = method.parts.find(part);
      if (found == method.parts.end()) return nullptr;
      return std::make_unique<StoredRows>(*found->second);
    };
    first_ = whole(MethodPart::LokrW1);
    if (first_ == nullptr)
      first_ = std::make_unique<ProductRows>(*method.parts.at(MethodPart::LokrW1A),
                                             *method.parts.at(MethodPart::LokrW1B));
    second_ = whole(MethodPart::LokrW2);
    if (second_ == nullptr)
      second_ = source_of(method, MethodPart::LokrW2A, MethodPart::LokrW2B, MethodPart::LokrT2);
  }
  void add(std::int64_t row, std::span<double> sums) const override {
    const auto width = static_cast<std::size_t>(second_->columns());
    std::vector<double> first(static_cast<std::size_t>(first_->columns())), second(width);
    first_->row(row / second_->rows(), first);
    second_->row(row % second_->rows(), second);
    for (std::size_t i = 0; i < first.size(); ++i) {
      for (std::size_t j = 0; j < width; ++j)
        sums[i * width + j] += scale_ * (first[i] * second[j]);
    }
  }

 private:
  double scale_;
  std::unique_ptr<RowSource> first_, second_;
};

class ScaledRows : public RowTransform {
 public:
  explicit ScaledRows(const io::TensorView& scales) : scales_(io::widened(scales)) {}
  void apply(std::int64_t row, std::span<const double> base,
             std::span<double> merged) const override {
    const double scale = scales_[static_cast<std::size_t>(row)];
    for (std::size_t j = 0; j < base.size(); ++j) merged[j] = base[j] * scale;
  }

 private:
  std::vector<double> scales_;
};

class ScaledColumns : public RowTransform {
 public:
  explicit ScaledColumns(const io::TensorView& scales) : scales_(io::widened(scales)) {}
  void apply(std::int64_t, std::span<const double> base, std::span<double> merged) const override {
    for (std::size_t j = 0; j < base.size(); ++j) merged[j] = base[j] * scales_[j];
  }

 private:
  std::vector<double> scales_;
};

// W' = W · Rᵀ; of an embedding W · R, as its rows are what comes out.
class Rotated : public RowTransform {
 public:
  Rotated(const PlacedMethod& method, bool embedding)
      : blocks_(
            oft_blocks(*method.parts.at(embedding ? MethodPart::OftEmbeddingR : MethodPart::OftR),
                       *method.settings, !embedding)) {}
  void apply(std::int64_t, std::span<const double> base, std::span<double> merged) const override {
    blocks_.multiply(base, merged);
  }

 private:
  BlockDiagonal blocks_;
};

// W' = diag(s) · W · (Bm ... B1)ᵀ with Bi = Pi Di Piᵀ, Di block-diagonal and Pi a permutation.
class ButterflyRotated : public RowTransform {
 public:
  explicit ButterflyRotated(const PlacedMethod& method) {
    const io::TensorView& rotation = *method.parts.at(MethodPart::BoftR);
    scales_ = io::widened(*method.parts.at(MethodPart::BoftS));
    const std::int64_t size = rotation.shape[2], columns = rotation.shape[1] * size;
    for (std::int64_t i = 0; i < rotation.shape[0]; ++i)
      factors_.push_back({boft_blocks(rotation, i), butterfly_order(columns, size, i)});
  }
  void apply(std::int64_t row, std::span<const double> base,
             std::span<double> merged) const override {
    std::vector<double> sorted(base.size()), turned(base.size());
    std::ranges::copy(base, merged.begin());
    for (const auto& [blocks, order] : factors_) {
      for (std::size_t k = 0; k < order.size(); ++k)
        sorted[static_cast<std::size_t>(order[k])] = merged[k];
      blocks.multiply(sorted, turned);
      for (std::size_t k = 0; k < order.size(); ++k)
        merged[k] = turned[static_cast<std::size_t>(order[k])];
    }
    for (double& value : merged) value *= scales_[static_cast<std::size_t>(row)];
  }

 private:
  struct Factor {
    BlockDiagonal blocks;
    std::vector<std::int64_t> order;
  };
  std::vector<Factor> factors_;
  std::vector<double> scales_;
};

// The first rows and columns of a matrix that serves layers of several sizes.
std::vector<double> corner_of(const io::TensorView& matrix, std::int64_t rows,
                              std::int64_t columns) {
  Factor corner = Factor::of(matrix);
  corner.rows = rows;
  corner.columns = columns;
  return corner.values();
}

std::vector<double> turned(const std::vector<double>& values, std::int64_t rows) {
  const auto height = static_cast<std::size_t>(rows);
  const std::size_t width = height == 0 ? 0 : values.size() / height;
  std::vector<double> result(values.size());
  for (std::size_t i = 0; i < height; ++i) {
    for (std::size_t j = 0; j < width; ++j) result[j * height + i] = values[i * width + j];
  }
  return result;
}

[[noreturn]] void not_of(std::string_view what) {
  throw internal_error({.message = "the method is not " + std::string(what)});
}

}  // namespace

bool is_sum(Method method) {
  return method == Method::Loha || method == Method::Lokr || method == Method::Vera;
}

Term low_rank_term(const PlacedModule& placed, bool transposed, double weight) {
  const PlacedMethod& method = *placed.method;
  if (method.method != Method::Vera) not_of("low-rank");
  return [&method, transposed, weight](LowRank& low_rank) {
    const std::int64_t out = transposed ? low_rank.columns : low_rank.rows;
    const std::int64_t in = transposed ? low_rank.rows : low_rank.columns;
    const std::vector<double> of_out = io::widened(*method.parts.at(MethodPart::VeraLambdaB));
    const std::vector<double> of_rank = io::widened(*method.parts.at(MethodPart::VeraLambdaD));
    const auto rank = static_cast<std::int64_t>(of_rank.size());
    // Products of two f32 values are exact in f64.
    std::vector<double> b = corner_of(*method.parts.at(MethodPart::VeraB), out, rank);
    std::vector<double> a = corner_of(*method.parts.at(MethodPart::VeraA), rank, in);
    for (std::size_t i = 0; i < b.size(); ++i) b[i] *= of_out[i / of_rank.size()];
    for (std::size_t i = 0; i < a.size(); ++i) a[i] *= of_rank[i / static_cast<std::size_t>(in)];
    if (!transposed) return low_rank.add(b, a, weight);
    low_rank.add(turned(a, rank), turned(b, out), weight);
  };
}

MakeRowTerm row_term(const PlacedModule& placed, double weight) {
  const PlacedMethod& method = *placed.method;
  const double scale = placed.scale * weight;
  switch (method.method) {
    case Method::Loha:
      return [&method, scale] { return std::make_unique<HadamardTerm>(method, scale); };
    case Method::Lokr:
      return [&method, scale] { return std::make_unique<KroneckerTerm>(method, scale); };
    default: not_of("a sum of rows");
  }
}

MakeTransform transform(const PlacedModule& placed, bool transposed, bool embedding) {
  const PlacedMethod& method = *placed.method;
  switch (method.method) {
    case Method::Ia3: {
      const io::TensorView& scales = *method.parts.at(MethodPart::Ia3L);
      if (method.feedforward == transposed)
        return [&scales] { return std::make_unique<ScaledRows>(scales); };
      return [&scales] { return std::make_unique<ScaledColumns>(scales); };
    }
    case Method::Oft:
      return [&method, embedding] { return std::make_unique<Rotated>(method, embedding); };
    case Method::Boft: return [&method] { return std::make_unique<ButterflyRotated>(method); };
    default: not_of("a product");
  }
}

MakeTransform bias_transform(const PlacedModule& placed) {
  const PlacedMethod& method = *placed.method;
  if (method.method != Method::Ia3 || method.feedforward) return nullptr;
  const io::TensorView& scales = *method.parts.at(MethodPart::Ia3L);
  return [&scales] { return std::make_unique<ScaledRows>(scales); };
}

}  // namespace loraproof::merge
