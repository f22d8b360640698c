// SPDX-License-Identifier: Apache-2.0
#include "loraproof/merge/low_rank.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>

#include "loraproof/core/cpu.h"
#include "loraproof/io/element_values.h"
#include "loraproof/merge/bf16_rows.h"
#include "loraproof/merge/rounding.h"

#if defined(__x86_64__)
__extension__ typedef __float128 Quad;
#else
using Quad = long double;
#endif

namespace loraproof::merge {
namespace {

constexpr std::int64_t kRows = 4;    // rows that share each load of the right factor
constexpr std::int64_t kInner = 4;   // inner indices for each load and store of the sums
constexpr std::int64_t kTile = 512;  // columns; the sums of a tile stay in the first-level cache
constexpr double kUnit = 0x1p-53;
constexpr std::size_t kBf16 = 2;  // bytes

struct Product {
  const double* left;  // [kRows, rank], scaled
  const double* right;
  double* sums;  // [kRows, columns]
  std::int64_t rank;
  std::int64_t columns;
};

// sums += left · right for kRows rows.
[[gnu::always_inline]] inline void add_product(const Product& p) {
  for (std::int64_t begin = 0; begin < p.columns; begin += kTile) {
    const std::int64_t width = std::min(kTile, p.columns - begin);
    double* __restrict s0 = p.sums + begin;
    double* __restrict s1 = s0 + p.columns;
    double* __restrict s2 = s1 + p.columns;
    double* __restrict s3 = s2 + p.columns;
    std::int64_t k = 0;
    for (; k + kInner <= p.rank; k += kInner) {
      const double* __restrict a = p.right + k * p.columns + begin;
      const double* __restrict b = a + p.columns;
      const double* __restrict c = b + p.columns;
      const double* __restrict d = c + p.columns;
      const double* l0 = p.left + k;
      const double* l1 = l0 + p.rank;
      const double* l2 = l1 + p.rank;
      const double* l3 = l2 + p.rank;
      for (std::int64_t j = 0; j < width; ++j) {
        s0[j] += l0[0] * a[j] + l0[1] * b[j] + l0[2] * c[j] + l0[3] * d[j];
        s1[j] += l1[0] * a[j] + l1[1] * b[j] + l1[2] * c[j] + l1[3] * d[j];
        s2[j] += l2[0] * a[j] + l2[1] * b[j] + l2[2] * c[j] + l2[3] * d[j];
        s3[j] += l3[0] * a[j] + l3[1] * b[j] + l3[2] * c[j] + l3[3] * d[j];
      }
    }
    for (; k < p.rank; ++k) {
      const double* __restrict a = p.right + k * p.columns + begin;
      const double l0 = p.left[k], l1 = p.left[p.rank + k];
      const double l2 = p.left[2 * p.rank + k], l3 = p.left[3 * p.rank + k];
      for (std::int64_t j = 0; j < width; ++j) {
        s0[j] += l0 * a[j];
        s1[j] += l1 * a[j];
        s2[j] += l2 * a[j];
        s3[j] += l3 * a[j];
      }
    }
  }
}

void add_product_any(const Product& p) { add_product(p); }
#if defined(__x86_64__)
LORAPROOF_FOR_AVX512 void add_product_avx512(const Product& p) { add_product(p); }
LORAPROOF_FOR_AVX2 void add_product_avx2(const Product& p) { add_product(p); }
#endif

using AddProduct = void (*)(const Product&);
AddProduct choose_add_product() {
#if defined(__x86_64__)
  switch (instruction_set()) {
    case InstructionSet::Avx512: return &add_product_avx512;
    case InstructionSet::Avx2: return &add_product_avx2;
    case InstructionSet::Any: break;
  }
#endif
  return &add_product_any;
}

// To the f64 towards zero, its last bit set unless exact: rounds to any type of weights as the f128
// value would.
double odd_f64(Quad value) {
  const auto nearest = static_cast<double>(value);
  if (static_cast<Quad>(nearest) == value || !std::isfinite(nearest)) return nearest;
  auto bits = std::bit_cast<std::uint64_t>(nearest);
  const bool beyond =
      value > 0 ? static_cast<Quad>(nearest) > value : static_cast<Quad>(nearest) < value;
  bits -= beyond ? 1 : 0;
  return std::bit_cast<double>(bits | 1U);
}

Quad root(Quad value) {
  const auto near = static_cast<Quad>(std::sqrt(static_cast<double>(value)));
  return near == 0 ? near : (near + value / near) / 2;  // one step of Newton: about 106 bits
}

class RowMerger {
 public:
  RowMerger(const WeightMerge& weight, std::int64_t first)
      : weight_(weight), at_(first), columns_(static_cast<std::size_t>(weight.columns)) {}

  void merge(std::int64_t count, std::span<std::byte> bytes) {
    if (!merge_fast(count, bytes)) merge_in_f64(count, bytes);
  }

  // Adds the squares of W + D of `count` rows to those of their columns.
  void add_squares(std::int64_t count, std::span<double> squares) {
    const std::size_t in_size = io::size_of(weight_.base->dtype) * columns_;
    reserve();
    for (std::int64_t row = 0; row < count; row += kRows) {
      const auto rows = static_cast<std::size_t>(std::min(kRows, count - row));
      const auto place = static_cast<std::size_t>(at_ + row);
      sum_changes(place, rows);
      for (std::size_t i = 0; i < rows; ++i) {
        io::widen(weight_.base->dtype, base_bytes(place + i).first(in_size), values_);
        for (std::size_t j = 0; j < columns_; ++j) {
          const double value = values_[j] + sums_[i * columns_ + j];
          squares[j] += value * value;
        }
      }
    }
  }

  MergeSums sums;

 private:
  void merge_in_f64(std::int64_t count, std::span<std::byte> bytes) {
    const std::size_t out_size = io::size_of(weight_.out) * columns_;
    base_.resize(kRows * columns_);
    stored_.resize(columns_);
    reserve();
    for (std::int64_t row = 0; row < count; row += kRows) {
      const auto rows = static_cast<std::size_t>(std::min(kRows, count - row));
      const auto place = static_cast<std::size_t>(at_ + row);
      if (weight_.change != nullptr) sum_changes(place, rows);
      for (std::size_t i = 0; i < rows; ++i) {
        finish_row(i, place + i,
                   bytes.subspan((static_cast<std::size_t>(row) + i) * out_size, out_size));
      }
    }
  }

  // BF16 plus a plain sum, most of it in f32; false where that can't be.
  bool merge_fast(std::int64_t count, std::span<std::byte> bytes) {
    const bool plain = weight_.change != nullptr && weight_.magnitude.empty() &&
                       weight_.column_factor.empty() && weight_.out == io::DType::BF16 &&
                       weight_.base->dtype == io::DType::BF16;
    if (!plain) return false;
    const auto factors = Bf16Factors::of(*weight_.change, at_ - weight_.first_row, count);
    if (!factors) return false;
    std::vector<Undecided> undecided;
    const std::byte* base = base_bytes(static_cast<std::size_t>(at_)).data();
    const auto decided = merge_bf16_rows(*factors, base, bytes.data(), undecided);
    if (!decided) return false;
    sums += {.elements = decided->decided,
             .changed = decided->changed,
             .intended2 = decided->intended2,
             .survived = decided->survived,
             .actual2 = decided->actual2,
             .base2 = decided->base2,
             .inner = decided->inner,
             .summed2 = decided->intended2};
    std::ranges::sort(undecided, {}, [](const Undecided& u) { return std::pair(u.row, u.column); });
    for (std::span rest(undecided); !rest.empty();) {
      const auto end =
          std::ranges::find_if(rest, [&](const Undecided& u) { return u.row != rest.front().row; });
      const auto row = rest.first(static_cast<std::size_t>(end - rest.begin()));
      std::vector<Undecided> ties;
      for (const Undecided& element : row)
        if (!decide_in_f64(element, bytes)) ties.push_back(element);
      if (!ties.empty()) decide(ties, bytes);
      rest = rest.subspan(row.size());
    }
    return true;
  }

  // One element; false where f64 might not decide it either.
  bool decide_in_f64(const Undecided& element, std::span<std::byte> bytes) {
    const LowRank& change = *weight_.change;
    const auto rank = static_cast<std::size_t>(change.rank());
    const auto row = static_cast<std::size_t>(at_ + element.row);
    const auto column = static_cast<std::size_t>(element.column);
    double base = 0, stored = 0, delta = 0;
    io::widen(io::DType::BF16, base_bytes(row).subspan(column * kBf16, kBf16), {&base, 1});
    for (std::size_t k = 0; k < rank; ++k) {
      delta += change.left[inner(row) * rank + k] * change.scale[k] *
               change.right[k * columns_ + column];
    }
    const double value = base + delta;
    if (!std::isfinite(value) || may_be_undecided(io::DType::BF16, value)) return false;
    const auto at = static_cast<std::size_t>(element.row) * columns_ + column;
    const std::span out = bytes.subspan(at * kBf16, kBf16);
    round_to(io::DType::BF16, {&value, 1}, out);
    io::widen(io::DType::BF16, out, {&stored, 1});
    add_element(base, value, stored, true);
    return true;
  }

  // Elements of one row in full: a weight of that row and of their columns alone.
  void decide(std::span<const Undecided> elements, std::span<std::byte> bytes) {
    const LowRank& all = *weight_.change;
    const auto rank = static_cast<std::size_t>(all.rank());
    const auto row = static_cast<std::size_t>(at_ + elements.front().row);
    LowRank change{.rows = 1,
                   .columns = std::ssize(elements),
                   .scale = all.scale,
                   .numerator = all.numerator,
                   .denominator = all.denominator};
    const auto left = std::span(all.left).subspan(inner(row) * rank, rank);
    change.left.assign(left.begin(), left.end());
    for (std::size_t k = 0; k < rank; ++k) {
      for (const Undecided& element : elements)
        change.right.push_back(all.right[k * columns_ + static_cast<std::size_t>(element.column)]);
    }
    std::vector<std::byte> base(elements.size() * kBf16), out(base.size());
    for (std::size_t i = 0; i < elements.size(); ++i) {
      const auto at = static_cast<std::size_t>(elements[i].column);
      std::memcpy(&base[i * kBf16], base_bytes(row).data() + at * kBf16, kBf16);
    }
    const io::TensorView view{
        .dtype = io::DType::BF16, .shape = {1, change.columns}, .bytes = base};
    const WeightMerge part{.base = &view, .change = &change, .columns = change.columns};
    RowMerger merger(part, 0);
    merger.merge_in_f64(1, out);
    sums += merger.sums;
    for (std::size_t i = 0; i < elements.size(); ++i) {
      const auto at = static_cast<std::size_t>(elements[i].row * weight_.columns) +
                      static_cast<std::size_t>(elements[i].column);
      std::memcpy(&bytes[at * kBf16], &out[i * kBf16], kBf16);
    }
  }

  void reserve() {
    sums_.resize(kRows * columns_);
    values_.resize(columns_);
  }

  void sum_changes(std::size_t place, std::size_t rows) {
    const auto rank = static_cast<std::size_t>(weight_.change->rank());
    left_.assign(kRows * rank, 0.0);
    for (std::size_t i = 0; i < rows; ++i) {
      for (std::size_t k = 0; k < rank; ++k)
        left_[i * rank + k] =
            weight_.change->left[(inner(place) + i) * rank + k] * weight_.change->scale[k];
    }
    std::ranges::fill(sums_, 0.0);
    static const AddProduct add = choose_add_product();
    add({left_.data(), weight_.change->right.data(), sums_.data(), weight_.change->rank(),
         weight_.columns});
  }

  // From a row of the weight on.
  [[nodiscard]] std::span<const std::byte> base_bytes(std::size_t row) const {
    const std::size_t at = row - static_cast<std::size_t>(weight_.base_first);
    return weight_.base->bytes.subspan(at * columns_ * io::size_of(weight_.base->dtype));
  }

  // The row of `change` and `magnitude` for a row of the weight.
  [[nodiscard]] std::size_t inner(std::size_t row) const {
    return row - static_cast<std::size_t>(weight_.first_row);
  }

  void finish_row(std::size_t i, std::size_t row, std::span<std::byte> bytes) {
    const std::size_t in_size = io::size_of(weight_.base->dtype) * columns_;
    const std::span base = std::span(base_).subspan(i * columns_, columns_);
    io::widen(weight_.base->dtype, base_bytes(row).first(in_size), base);
    const std::span change = std::span(sums_).subspan(i * columns_, columns_);
    double slack = 0;
    if (weight_.transform != nullptr) {
      weight_.transform->apply(static_cast<std::int64_t>(row), base, values_);
    } else if (weight_.change == nullptr) {
      std::ranges::copy(base, values_.begin());
    } else {
      for (std::size_t j = 0; j < columns_; ++j) values_[j] = base[j] + change[j];
      slack = scale_values(row);
    }
    round_to(weight_.out, values_, bytes);
    if (weight_.change != nullptr) decide_ties(i, row, slack, bytes);
    io::widen(weight_.out, bytes, stored_);
    add_sums(base);
  }

  // DoRA's factor; the relative error that its norm brings.
  double scale_values(std::size_t row) {
    if (!weight_.column_factor.empty()) {
      for (std::size_t j = 0; j < columns_; ++j) values_[j] *= weight_.column_factor[j];
      return 4 * kUnit;
    }
    if (weight_.magnitude.empty()) return 0;
    double squares = 0;
    for (const double value : values_) squares += value * value;
    const double factor = weight_.magnitude[inner(row)] / std::sqrt(squares);
    for (double& value : values_) value *= factor;
    return static_cast<double>(columns_) * kUnit;
  }

  // Where rounding errors of the sum could decide, the element is computed again in f128.
  void decide_ties(std::size_t i, std::size_t row, double slack, std::span<std::byte> bytes) {
    const std::size_t size = io::size_of(weight_.out);
    std::optional<Quad> factor;
    for (std::size_t j = 0; j < columns_; ++j) {
      if (!may_be_undecided(weight_.out, values_[j])) continue;
      const double error = error_of(i, j) + slack * std::fabs(values_[j]);
      if (!is_undecided(weight_.out, values_[j], error)) continue;
      ++sums.undecided;
      Quad value = exact(i, row, j);
      if (!weight_.magnitude.empty()) {
        if (!factor) factor = exact_factor(i, row);
        value *= *factor;
      } else if (!weight_.column_factor.empty()) {
        value *= weight_.column_factor[j];
      }
      const double odd = odd_f64(value);
      round_to(weight_.out, std::span(&odd, 1), bytes.subspan(j * size, size));
    }
  }

  [[nodiscard]] Quad exact(std::size_t i, std::size_t row, std::size_t j) const {
    const LowRank& change = *weight_.change;
    const auto rank = static_cast<std::size_t>(change.rank());
    Quad value = base_[i * columns_ + j];
    // One division for each run of equal scales, so that a sum that is a tie stays one.
    for (std::size_t k = 0; k < rank;) {
      const double numerator = change.numerator[k], denominator = change.denominator[k];
      Quad products = 0;
      for (; k < rank && change.numerator[k] == numerator && change.denominator[k] == denominator;
           ++k) {
        products +=
            static_cast<Quad>(change.left[inner(row) * rank + k]) * change.right[k * columns_ + j];
      }
      value += products * numerator / denominator;
    }
    return value;
  }

  [[nodiscard]] Quad exact_factor(std::size_t i, std::size_t row) const {
    Quad squares = 0;
    for (std::size_t j = 0; j < columns_; ++j) {
      const Quad value = exact(i, row, j);
      squares += value * value;
    }
    return static_cast<Quad>(weight_.magnitude[inner(row)]) / root(squares);
  }

  // Of W + D before DoRA's factor, times at least that factor's share: a sum of rank + 1 terms.
  [[nodiscard]] double error_of(std::size_t i, std::size_t j) const {
    const auto rank = static_cast<std::size_t>(weight_.change->rank());
    double magnitudes = std::fabs(base_[i * columns_ + j]);
    for (std::size_t k = 0; k < rank; ++k) {
      magnitudes += std::fabs(left_[i * rank + k] * weight_.change->right[k * columns_ + j]);
    }
    const double whole = base_[i * columns_ + j] + sums_[i * columns_ + j];
    const double factor = whole == 0 ? 1 : std::fabs(values_[j] / whole);
    return static_cast<double>(rank + 8) * kUnit * magnitudes * factor;
  }

  void add_sums(std::span<const double> base) {
    const bool is_sum = weight_.magnitude.empty() && weight_.column_factor.empty() &&
                        (weight_.transform == nullptr || weight_.transform->is_sum());
    for (std::size_t j = 0; j < columns_; ++j) add_element(base[j], values_[j], stored_[j], is_sum);
  }

  void add_element(double base, double value, double stored, bool is_sum) {
    ++sums.elements;
    if (!std::isfinite(stored)) {
      ++sums.non_finite;
      return;
    }
    const double intended = value - base, actual = stored - base;
    sums.changed += actual != 0 ? 1 : 0;
    sums.intended2 += intended * intended;
    sums.survived += intended * actual;
    sums.actual2 += actual * actual;
    sums.base2 += base * base;
    if (!is_sum) return;
    sums.inner += base * intended;
    sums.summed2 += intended * intended;
  }

  const WeightMerge& weight_;
  std::int64_t at_;
  std::size_t columns_;
  std::vector<double> base_, sums_, values_, stored_, left_;
};

}  // namespace

Factor Factor::of(const io::TensorView& tensor) {
  const std::int64_t rows = tensor.shape.empty() ? 1 : tensor.shape.front();
  const std::int64_t columns = rows == 0 ? 0 : tensor.numel() / rows;
  return {.tensor = &tensor, .rows = rows, .columns = columns, .row_step = columns};
}

Factor Factor::turned() const {
  Factor other = *this;
  std::swap(other.rows, other.columns);
  std::swap(other.row_step, other.column_step);
  return other;
}

std::vector<double> Factor::values() const {
  const std::size_t size = io::size_of(tensor->dtype);
  std::vector<std::byte> gathered(static_cast<std::size_t>(rows * columns) * size);
  std::byte* to = gathered.data();
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::byte* from =
        tensor->bytes.data() + static_cast<std::size_t>(offset + i * row_step) * size;
    const std::size_t step = static_cast<std::size_t>(column_step) * size;
    const std::size_t run = column_step == 1 ? static_cast<std::size_t>(columns) * size : size;
    for (std::size_t done = 0; done < static_cast<std::size_t>(columns) * size; done += run) {
      std::memcpy(to, from, run);
      to += run;
      from += step;
    }
  }
  std::vector<double> values(static_cast<std::size_t>(rows * columns));
  io::widen(tensor->dtype, gathered, values);
  return values;
}

void LowRank::add(const Factor& left_factor, const Factor& right_factor, double scaling) {
  add(left_factor.values(), right_factor.values(), scaling);
}

void LowRank::add(const std::vector<double>& more_left, const std::vector<double>& more_right,
                  double scaling) {
  const std::int64_t before = rank();
  const std::int64_t more = columns == 0 ? 0 : std::ssize(more_right) / columns;
  std::vector<double> wide;
  wide.reserve(left.size() + more_left.size());
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto old = left.begin() + row * before;
    wide.insert(wide.end(), old, old + before);
    const auto added = more_left.begin() + row * more;
    wide.insert(wide.end(), added, added + more);
  }
  left = std::move(wide);
  right.insert(right.end(), more_right.begin(), more_right.end());
  // alpha / r, unless it is something else (rsLoRA's alpha / sqrt(r), a weight).
  const auto r = static_cast<double>(more);
  const double alpha = std::round(scaling * r);
  const bool is_ratio = alpha / r == scaling;
  const auto count = static_cast<std::size_t>(more);
  scale.insert(scale.end(), count, scaling);
  numerator.insert(numerator.end(), count, is_ratio ? alpha : scaling);
  denominator.insert(denominator.end(), count, is_ratio ? r : 1.0);
}

MergeSums& MergeSums::operator+=(const MergeSums& other) {
  elements += other.elements;
  changed += other.changed;
  undecided += other.undecided;
  non_finite += other.non_finite;
  intended2 += other.intended2;
  survived += other.survived;
  actual2 += other.actual2;
  base2 += other.base2;
  inner += other.inner;
  summed2 += other.summed2;
  scheme2 += other.scheme2;
  return *this;
}

double MergeSums::survival() const { return intended2 > 0 ? survived / intended2 : 1; }

double MergeSums::noise() const {
  if (intended2 <= 0) return 0;
  return std::sqrt(std::max(0.0, actual2 - survived * survived / intended2) / intended2);
}

std::vector<double> column_squares(const WeightMerge& weight) {
  std::vector<double> squares(static_cast<std::size_t>(weight.columns));
  RowMerger(weight, weight.first_row).add_squares(weight.change->rows, squares);
  return squares;
}

MergeSums merge_rows(const WeightMerge& weight, std::int64_t first, std::int64_t count,
                     std::span<std::byte> bytes) {
  RowMerger merger(weight, first);
  merger.merge(count, bytes);
  return merger.sums;
}

}  // namespace loraproof::merge
