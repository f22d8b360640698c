// SPDX-License-Identifier: Apache-2.0
#include "loraproof/merge/read_back.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "loraproof/core/error.h"
#include "loraproof/core/file.h"
#include "loraproof/io/element_values.h"
#include "loraproof/merge/base_scheme.h"
#include "loraproof/merge/block_pipe.h"
#include "loraproof/merge/blocks.h"
#include "loraproof/merge/rounding.h"

namespace loraproof::merge {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ConstMap = Eigen::Map<const Matrix>;

// Of a step: what errors of f64 come to at most in FP32, whose steps are the smallest.
constexpr double kMostUlp = 0.5 + 1e-3;

struct Compared {
  std::int64_t elements = 0;
  std::int64_t misrounded = 0;
  double worst_ulp = 0;
  bool equal = true;  // of rows that should be the source's bytes
  std::span<const std::byte> read, source;
};

class FileReader {
 public:
  FileReader(const PlannedFile& file, const io::SafetensorsFile& written)
      : file_(file), written_(written), places_(cut_into_blocks(file)) {
    for (const PlannedTensor& tensor : file.tensors) stored_.push_back(&find(tensor));
  }

  void compare(ReadBack& result, int threads, Progress& progress) {
    BlockPipe<Compared> pipe(places_.size(), threads);
    pipe.run([this](std::size_t i) { return compare(places_[i]); },
             [&](std::size_t i, const Compared& block) {
               const Place& place = places_[i];
               const PlannedTensor& tensor = file_.tensors[place.tensor];
               result.elements += block.elements;
               result.misrounded += block.misrounded;
               result.worst_ulp = std::max(result.worst_ulp, block.worst_ulp);
               if (result.first_difference.empty() && !block.equal)
                 result.first_difference = tensor.spec.name + ": other bytes than planned";
               if (result.first_difference.empty() && block.misrounded > 0)
                 result.first_difference = tensor.spec.name + ": not the nearest values";
               written_.file().done_with(block.read);
               if (!tensor.replaced) file_.source->file().done_with(block.source);
               if (place.change != kUnchanged) changes_.drop_before(tensor, place.change);
               progress.advance(static_cast<std::int64_t>(block.read.size()));
             });
  }

 private:
  const io::TensorView& find(const PlannedTensor& tensor) const {
    const io::TensorView* view = written_.find(tensor.spec.name);
    if (view != nullptr && view->dtype == tensor.spec.dtype && view->shape == tensor.spec.shape)
      return *view;
    throw input_error({.message = "what was written is not there when it is read back",
                       .file = written_.file().path().string(),
                       .where = tensor.spec.name,
                       .expected = std::string(io::name_of(tensor.spec.dtype)) + " " +
                                   io::shape_text(tensor.spec.shape),
                       .found = view == nullptr ? "no tensor of this name"
                                                : std::string(io::name_of(view->dtype)) + " " +
                                                      io::shape_text(view->shape)});
  }

  Compared compare(const Place& place) {
    const PlannedTensor& tensor = file_.tensors[place.tensor];
    const std::int64_t length = rows_of(tensor).length;
    const auto part = [&](const io::TensorView& view) {
      const std::size_t row = static_cast<std::size_t>(length) * io::size_of(view.dtype);
      return view.bytes.subspan(static_cast<std::size_t>(place.first) * row,
                                static_cast<std::size_t>(place.rows) * row);
    };
    Compared block{.read = part(*stored_[place.tensor]), .source = part(*tensor.source)};
    written_.file().read_in(block.read);
    if (!tensor.replaced) file_.source->file().read_in(block.source);
    std::vector<std::byte> dequantised;
    std::span<const std::byte> before = block.source;
    if (tensor.base_scheme != nullptr) {
      dequantised = dequantised_.rows(tensor, place.first, place.rows);
      before = dequantised;
    }
    if (place.change == kUnchanged && tensor.source->dtype == tensor.spec.dtype) {
      block.equal = std::ranges::equal(block.read, before);
      return block;
    }
    Matrix values(place.rows, length), stored(place.rows, length);
    io::widen(tensor.source->dtype, before, span_of(values));
    if (place.change != kUnchanged) change(tensor, place, values);
    io::widen(tensor.spec.dtype, block.read, span_of(stored));
    block.elements = values.size();
    for (Eigen::Index i = 0; i < values.size(); ++i) {
      const double value = values.data()[i];
      const double ulps = std::fabs(stored.data()[i] - value) / ulp_at(tensor.spec.dtype, value);
      block.misrounded += ulps <= kMostUlp ? 0 : 1;  // NaN too
      block.worst_ulp = std::max(block.worst_ulp, ulps);
    }
    return block;
  }

  static std::span<double> span_of(Matrix& matrix) {
    return {matrix.data(), static_cast<std::size_t>(matrix.size())};
  }

  // `values`: of the source; becomes W + D.
  void change(const PlannedTensor& tensor, const Place& place, Matrix& values) {
    const Change& change = tensor.changes[place.change];
    const std::shared_ptr<const MadeChange> made = changes_.get(tensor, place.change);
    if (made->transform != nullptr) {
      std::vector<double> row(static_cast<std::size_t>(values.cols()));
      for (Eigen::Index i = 0; i < values.rows(); ++i) {
        const std::span<double> in(values.row(i).data(), row.size());
        made->transform->apply(place.first + i, in, row);
        std::ranges::copy(row, in.begin());
      }
      return;
    }
    const LowRank& low = made->low_rank;
    const Eigen::Index first = place.first - change.first_row;
    if (!low.empty()) {
      const ConstMap left(low.left.data(), low.rows, low.rank());
      const ConstMap right(low.right.data(), low.rank(), low.columns);
      const Eigen::Map<const Eigen::VectorXd> scale(low.scale.data(), low.rank());
      values += left.middleRows(first, values.rows()) * scale.asDiagonal() * right;
    }
    if (!made->magnitude.empty()) {
      for (Eigen::Index i = 0; i < values.rows(); ++i)
        values.row(i) *=
            made->magnitude[static_cast<std::size_t>(first + i)] / values.row(i).norm();
    }
    if (!made->column_factor.empty())
      values *=
          Eigen::Map<const Eigen::VectorXd>(made->column_factor.data(), values.cols()).asDiagonal();
  }

  const PlannedFile& file_;
  const io::SafetensorsFile& written_;
  std::vector<Place> places_;
  std::vector<const io::TensorView*> stored_;
  MadeChanges changes_;
  DequantisedBase dequantised_;
};

}  // namespace

ReadBack read_back(const MergePlan& plan, const std::filesystem::path& folder, int threads,
                   Progress& progress) {
  progress.begin("prove", static_cast<std::int64_t>(plan.output_bytes), "bytes");
  ReadBack result;
  for (const PlannedFile& file : plan.files) {
    const std::filesystem::path path = folder / file.name;
    drop_cached_pages(path);
    const io::SafetensorsFile written(path);
    if (written.tensors().size() != file.tensors.size() && result.first_difference.empty())
      result.first_difference = file.name + ": another number of tensors than planned";
    for (const PlannedTensor& tensor : file.tensors)
      ++(tensor.is_touched() ? result.touched : result.untouched);
    FileReader(file, written).compare(result, threads, progress);
  }
  progress.end();
  return result;
}

}  // namespace loraproof::merge
