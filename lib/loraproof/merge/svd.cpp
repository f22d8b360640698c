// SPDX-License-Identifier: Apache-2.0
#include "loraproof/merge/svd.h"

#include <Eigen/Dense>
#include <Spectra/SymEigsSolver.h>
#include <algorithm>
#include <fmt/format.h>

#include "loraproof/core/error.h"
#include "loraproof/io/element_values.h"

namespace loraproof::merge {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr double kTolerance = 1e-14;  // of an eigenvalue, relative
constexpr std::int64_t kBlockRows = 64;
constexpr int kMostRestarts = 2000;

std::vector<double> values_of(const RowMajor& matrix) {
  return {matrix.data(), matrix.data() + matrix.size()};
}

// Products with a stored matrix, widened block by block.
class StoredMatrix {
 public:
  explicit StoredMatrix(const io::TensorView& view)
      : view_(view), rows_(view.shape.front()), columns_(view.numel() / view.shape.front()) {}

  [[nodiscard]] Eigen::MatrixXd times(const Eigen::Ref<const Eigen::MatrixXd>& x) const {
    Eigen::MatrixXd y(rows_, x.cols());
    for_blocks([&](std::int64_t first, const auto& block) {
      y.middleRows(first, block.rows()) = block * x;
    });
    return y;
  }
  [[nodiscard]] Eigen::MatrixXd transposed_times(const Eigen::Ref<const Eigen::MatrixXd>& x) const {
    Eigen::MatrixXd y = Eigen::MatrixXd::Zero(columns_, x.cols());
    for_blocks([&](std::int64_t first, const auto& block) {
      y += block.transpose() * x.middleRows(first, block.rows());
    });
    return y;
  }
  [[nodiscard]] std::int64_t rows() const { return rows_; }
  [[nodiscard]] std::int64_t columns() const { return columns_; }

 private:
  template <typename Use>
  void for_blocks(const Use& use) const {
    const std::size_t row = static_cast<std::size_t>(columns_) * io::size_of(view_.dtype);
    RowMajor block;
    for (std::int64_t first = 0; first < rows_; first += kBlockRows) {
      block.resize(std::min(kBlockRows, rows_ - first), columns_);
      io::widen(view_.dtype,
                view_.bytes.subspan(static_cast<std::size_t>(first) * row,
                                    static_cast<std::size_t>(block.rows()) * row),
                std::span(block.data(), static_cast<std::size_t>(block.size())));
      use(first, block);
    }
  }

  const io::TensorView& view_;
  std::int64_t rows_;
  std::int64_t columns_;
};

// The smaller one of WᵀW and WWᵀ, as Spectra wants an operator.
class Gram {
 public:
  using Scalar = double;
  explicit Gram(const StoredMatrix& matrix)
      : matrix_(matrix), wide_(matrix.columns() > matrix.rows()) {}
  [[nodiscard]] Eigen::Index rows() const { return wide_ ? matrix_.rows() : matrix_.columns(); }
  [[nodiscard]] Eigen::Index cols() const { return rows(); }
  [[nodiscard]] bool is_wide() const { return wide_; }
  void perform_op(const double* x, double* y) const {
    const Eigen::Map<const Eigen::VectorXd> in(x, rows());
    Eigen::Map<Eigen::VectorXd> out(y, rows());
    out = wide_ ? matrix_.times(matrix_.transposed_times(in))
                : matrix_.transposed_times(matrix_.times(in));
  }

 private:
  const StoredMatrix& matrix_;
  bool wide_;
};

}  // namespace

Svd svd_of_product(const LowRank& product, std::int64_t rank) {
  const Eigen::Map<const RowMajor> left(product.left.data(), product.rows, product.rank());
  const Eigen::Map<const RowMajor> right(product.right.data(), product.rank(), product.columns);
  const Eigen::Map<const Eigen::VectorXd> scale(product.scale.data(), product.rank());
  const auto thin = [](const Eigen::HouseholderQR<Eigen::MatrixXd>& qr) -> Eigen::MatrixXd {
    const Eigen::Index inner = std::min(qr.rows(), qr.cols());
    return qr.householderQ() * Eigen::MatrixXd::Identity(qr.rows(), inner);
  };
  const auto triangle = [](const Eigen::HouseholderQR<Eigen::MatrixXd>& qr) -> Eigen::MatrixXd {
    const Eigen::Index inner = std::min(qr.rows(), qr.cols());
    return qr.matrixQR().topRows(inner).template triangularView<Eigen::Upper>();
  };
  const Eigen::HouseholderQR<Eigen::MatrixXd> of_left(left * scale.asDiagonal());
  const Eigen::HouseholderQR<Eigen::MatrixXd> of_right(right.transpose());
  const Eigen::MatrixXd core = triangle(of_left) * triangle(of_right).transpose();
  const Eigen::JacobiSVD<Eigen::MatrixXd> svd(core, Eigen::ComputeThinU | Eigen::ComputeThinV);
  const Eigen::Index kept = std::min<Eigen::Index>(rank, svd.singularValues().size());
  return {values_of(thin(of_left) * svd.matrixU().leftCols(kept) *
                    svd.singularValues().head(kept).asDiagonal()),
          values_of((thin(of_right) * svd.matrixV().leftCols(kept)).transpose())};
}

Svd largest_triplets(const io::TensorView& view, std::int64_t rank) {
  const StoredMatrix matrix(view);
  Gram gram(matrix);
  const Eigen::Index size = gram.rows(), wanted = std::min<Eigen::Index>(rank, size);
  Eigen::MatrixXd vectors;
  if (wanted + 1 >= size) {  // Spectra looks for a part of them only
    const Eigen::MatrixXd whole =
        matrix.times(Eigen::MatrixXd::Identity(matrix.columns(), matrix.columns()));
    const Eigen::JacobiSVD<Eigen::MatrixXd> svd(whole, Eigen::ComputeThinU | Eigen::ComputeThinV);
    vectors = (gram.is_wide() ? svd.matrixU() : svd.matrixV()).leftCols(wanted);
  } else {
    const Eigen::Index space = std::min<Eigen::Index>(size, std::max<Eigen::Index>(4 * wanted, 60));
    Spectra::SymEigsSolver<Gram> solver(gram, wanted, space);
    solver.init();
    solver.compute(Spectra::SortRule::LargestAlge, kMostRestarts, kTolerance);
    if (solver.info() != Spectra::CompInfo::Successful) {
      throw input_error({.message = "the singular value decomposition does not converge",
                         .where = view.name,
                         .hint =
                             "save the adapter again with save_pretrained(..., "
                             "path_initial_model_for_weight_conversion=...): it is then a plain "
                             "LoRA adapter"});
    }
    vectors = solver.eigenvectors(wanted);
  }
  // W V Vᵀ (or U Uᵀ W) is the sum of the triplets, however its vectors are turned among themselves.
  if (gram.is_wide())
    return {values_of(vectors), values_of(matrix.transposed_times(vectors).transpose())};
  return {values_of(matrix.times(vectors)), values_of(vectors.transpose())};
}

}  // namespace loraproof::merge
