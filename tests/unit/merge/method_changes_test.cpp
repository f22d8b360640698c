// SPDX-License-Identifier: Apache-2.0
// Changes of the methods other than LoRA, against the same computed on whole matrices, and against
// values by hand. tests/live/merge_methods_live.py compares whole merges with PEFT.
#include "loraproof/merge/method_changes.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <random>
#include <vector>

#include "loraproof/merge/rotation.h"
#include "loraproof/merge/rounding.h"
#include "support/catch.h"

namespace loraproof::merge {
namespace {

using adapter::Method;
using adapter::MethodPart;
using Catch::Matchers::WithinAbs;
using Values = std::vector<double>;

// An adapted module whose tensors live here.
class Module {
 public:
  explicit Module(Method method, adapter::MethodSettings settings = {}) : settings_(settings) {
    placed.method = {method, &settings_, false, {}};
  }
  Module& with(MethodPart part, std::vector<std::int64_t> shape, const Values& values) {
    std::vector<std::byte>& bytes = bytes_.emplace_back(values.size() * sizeof(float));
    round_to(io::DType::F32, values, bytes);
    views_.push_back(
        {.name = "", .dtype = io::DType::F32, .shape = std::move(shape), .bytes = bytes});
    placed.method->parts[part] = &views_.back();
    return *this;
  }
  adapter::PlacedModule placed;

 private:
  adapter::MethodSettings settings_;
  std::deque<std::vector<std::byte>> bytes_;
  std::deque<io::TensorView> views_;
};

Values applied(const MakeTransform& make, std::int64_t row, const Values& base) {
  Values merged(base.size());
  make()->apply(row, base, merged);
  return merged;
}

Values added(const MakeRowTerm& make, std::int64_t row, std::size_t columns) {
  Values sums(columns);
  make()->add(row, sums);
  return sums;
}

Values random_values(std::size_t count, std::mt19937& chance) {
  std::normal_distribution<float> normal(0, 0.5F);
  Values values(count);
  for (double& value : values) value = static_cast<double>(normal(chance));
  return values;
}

}  // namespace

TEST_CASE(
    "IA3 scales outputs, inputs of feedforward modules, and the reverse where stored turned") {
  Module outputs(Method::Ia3), inputs(Method::Ia3);
  outputs.with(MethodPart::Ia3L, {2, 1}, {2, 3});
  inputs.with(MethodPart::Ia3L, {1, 3}, {2, 3, 4});
  inputs.placed.method->feedforward = true;
  const Values row = {1, 10, 100};
  CHECK(applied(transform(outputs.placed, false, false), 1, row) == Values{3, 30, 300});
  CHECK(applied(transform(inputs.placed, false, false), 1, row) == Values{2, 30, 400});
  CHECK(applied(transform(outputs.placed, true, false), 2, {1, 10}) == Values{2, 30});
  CHECK(applied(transform(inputs.placed, true, false), 2, {1, 10}) == Values{4, 40});
  CHECK(applied(bias_transform(outputs.placed), 0, {5}) == Values{10});
  CHECK(bias_transform(inputs.placed) == nullptr);
}

TEST_CASE("LoHa is the product of two products, element by element") {
  Module module(Method::Loha);
  module.with(MethodPart::HadaW1A, {2, 1}, {1, 2}).with(MethodPart::HadaW1B, {1, 3}, {1, 2, 3});
  module.with(MethodPart::HadaW2A, {2, 2}, {1, 0, 1, 1})
      .with(MethodPart::HadaW2B, {2, 3}, {1, 1, 1, 0, 1, 2});
  module.placed.scale = 0.5;
  // Row 1: (2, 4, 6) times (1, 2, 3), halved; weighted with 3.
  CHECK(added(row_term(module.placed, 1), 1, 3) == Values{1, 4, 9});
  CHECK(added(row_term(module.placed, 3), 1, 3) == Values{3, 12, 27});
}

TEST_CASE("LoKr repeats the second factor once for each value of the first") {
  Module whole(Method::Lokr), split(Method::Lokr);
  whole.with(MethodPart::LokrW1, {2, 2}, {1, 2, 3, 4})
      .with(MethodPart::LokrW2, {2, 3}, {1, 0, 2, 5, 6, 7});
  split.with(MethodPart::LokrW1A, {2, 1}, {1, 2})
      .with(MethodPart::LokrW1B, {1, 2}, {3, 4})
      .with(MethodPart::LokrW2A, {2, 1}, {1, 10})
      .with(MethodPart::LokrW2B, {1, 2}, {1, 2});
  whole.placed.scale = split.placed.scale = 2;
  CHECK(added(row_term(whole.placed, 1), 0, 6) == Values{2, 0, 4, 4, 0, 8});
  CHECK(added(row_term(whole.placed, 1), 3, 6) == Values{30, 36, 42, 40, 48, 56});
  CHECK(added(row_term(split.placed, 0.5), 3, 4) == Values{60, 120, 80, 160});
}

TEST_CASE("VeRA takes the corner of the shared projections that a layer needs") {
  Module module(Method::Vera);
  module.with(MethodPart::VeraLambdaB, {2}, {1, 10})
      .with(MethodPart::VeraLambdaD, {2}, {1, 100})
      .with(MethodPart::VeraA, {2, 3}, {1, 2, 77, 3, 4, 77})
      .with(MethodPart::VeraB, {3, 2}, {1, 1, 2, 1, 77, 77});
  LowRank upright{.rows = 2, .columns = 2}, turned{.rows = 2, .columns = 2};
  low_rank_term(module.placed, false, 1)(upright);
  low_rank_term(module.placed, true, 1)(turned);
  const auto at = [](const LowRank& change, std::size_t i, std::size_t j) {
    return change.left[i * 2] * change.right[j] + change.left[i * 2 + 1] * change.right[2 + j];
  };
  CHECK(at(upright, 0, 1) == 402);
  CHECK(at(upright, 1, 0) == 3020);
  CHECK(at(turned, 1, 0) == 402);
  CHECK(at(turned, 0, 1) == 3020);
}

TEST_CASE("Cayley's transform of a plane is the rotation by twice the arc tangent") {
  adapter::MethodSettings settings;
  Module module(Method::Oft, settings);
  module.with(MethodPart::OftR, {2, 1}, {0.5, 0});
  // Q = [[0, t], [-t, 0]] gives R = [[c, -s], [s, c]] with the angle 2 atan t: cos 0.6, sin 0.8.
  const Values merged = applied(transform(module.placed, false, false), 0, {1, 0, 7, 8});
  CHECK_THAT(merged[0], WithinAbs(0.6, 1e-15));
  CHECK_THAT(merged[1], WithinAbs(0.8, 1e-15));
  CHECK(merged[2] == 7);
  CHECK(merged[3] == 8);
}

TEST_CASE("an embedding is turned the other way round") {
  Module module(Method::Oft);
  module.with(MethodPart::OftEmbeddingR, {1, 1}, {0.5});
  const Values merged = applied(transform(module.placed, false, true), 0, {1, 0});
  CHECK_THAT(merged[0], WithinAbs(0.6, 1e-15));
  CHECK_THAT(merged[1], WithinAbs(-0.8, 1e-15));
}

TEST_CASE("PEFT's series has the signs and weights that it has") {
  const auto first_row = [](std::int64_t terms) {
    adapter::MethodSettings settings;
    settings.neumann_terms = terms;
    Module module(Method::Oft, settings);
    module.with(MethodPart::OftR, {1, 1}, {0.5});
    // The first column of R, as W' = W Rᵀ and the row is (1, 0).
    return applied(transform(module.placed, false, false), 0, {1, 0});
  };
  // Q = [[0, .5], [-.5, 0]], Q² = -.25 I, Q³ = -.25 Q, Q⁴ = .0625 I.
  CHECK(first_row(0) == Values{1, 0});
  CHECK(first_row(1) == Values{1, 0});
  CHECK(first_row(2) == Values{1, -1});
  CHECK(first_row(3) == Values{0.5, -0.875});
  CHECK(first_row(4) == Values{0.5, -0.875});
  CHECK(first_row(5) == Values{0.5625, -0.75});
}

TEST_CASE("COFT shortens a block to its share of eps, and leaves a shorter one") {
  adapter::MethodSettings settings;
  settings.coft = true;
  settings.coft_eps = 1;
  settings.neumann_terms = 2;  // I + 2Q shows Q
  Module module(Method::Oft, settings);
  module.with(MethodPart::OftR, {4, 1}, {3, 0.25, -3, 0});
  // The limit is 1/sqrt(4), the norm of a block is sqrt(2) |q|.
  const Values merged =
      applied(transform(module.placed, false, false), 0, {1, 0, 1, 0, 1, 0, 1, 0});
  CHECK_THAT(merged[1], WithinAbs(-2 * 0.5 / std::sqrt(2), 1e-15));
  CHECK(merged[3] == -0.5);
  CHECK_THAT(merged[5], WithinAbs(2 * 0.5 / std::sqrt(2), 1e-15));
  CHECK(merged[7] == 0);
}

TEST_CASE("a block that is shared serves all places") {
  adapter::MethodSettings settings;
  settings.block_share = true;
  Module module(Method::Oft, settings);
  module.with(MethodPart::OftR, {1, 1}, {0.5});
  const Values merged = applied(transform(module.placed, false, false), 0, {1, 0, 10, 0});
  CHECK_THAT(merged[0], WithinAbs(0.6, 1e-15));
  CHECK_THAT(merged[2], WithinAbs(6, 1e-14));
  CHECK_THAT(merged[3], WithinAbs(8, 1e-14));
}

TEST_CASE("rotations keep the length of a row, whatever the sizes") {
  std::mt19937 chance(5);
  const auto size = GENERATE(std::int64_t{1}, std::int64_t{3}, std::int64_t{16});
  const std::int64_t blocks = 4;
  Module oft(Method::Oft), boft(Method::Boft);
  oft.with(MethodPart::OftR, {blocks, size * (size - 1) / 2},
           random_values(static_cast<std::size_t>(blocks * size * (size - 1) / 2), chance));
  const std::int64_t factors = size == 16 ? 3 : 1;
  boft.with(MethodPart::BoftR, {factors, blocks, size, size},
            random_values(static_cast<std::size_t>(factors * blocks * size * size), chance));
  boft.with(MethodPart::BoftS, {1, 1}, {2});
  const Values row = random_values(static_cast<std::size_t>(blocks * size), chance);
  const auto length = [](const Values& values) {
    double sum = 0;
    for (const double value : values) sum += value * value;
    return std::sqrt(sum);
  };
  CHECK_THAT(length(applied(transform(oft.placed, false, false), 0, row)),
             WithinAbs(length(row), 1e-13));
  CHECK_THAT(length(applied(transform(boft.placed, false, false), 0, row)),
             WithinAbs(2 * length(row), 1e-13));
}

TEST_CASE("a butterfly mixes as wide as it has factors") {
  // peft 0.21.2 BOFTLayer.block_butterfly_perm(None, 16, 2, 2, 1), (…, 16, 1, 2, 2), (…, 12, 1, 3,
  // 1)
  CHECK(butterfly_order(16, 4, 0).at(5) == 5);
  CHECK(butterfly_order(16, 4, 1) ==
        std::vector<std::int64_t>{0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15});
  CHECK(butterfly_order(16, 4, 2) ==
        std::vector<std::int64_t>{0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15});
  CHECK(butterfly_order(12, 6, 1) ==
        std::vector<std::int64_t>{0, 1, 2, 6, 7, 8, 3, 4, 5, 9, 10, 11});
  std::mt19937 chance(7);
  for (const std::int64_t factors : {1, 2, 3}) {
    Module module(Method::Boft);
    module.with(MethodPart::BoftR, {factors, 4, 4, 4},
                random_values(static_cast<std::size_t>(factors * 64), chance));
    module.with(MethodPart::BoftS, {1, 1}, {1});
    Values first(16);
    first[0] = 1;
    const Values merged = applied(transform(module.placed, false, false), 0, first);
    const auto reached = std::ranges::count_if(merged, [](double value) { return value != 0; });
    INFO(factors << " factors");
    CHECK(reached == (std::int64_t{4} << (factors - 1)));
  }
}

TEST_CASE("sums take part in one sum, with what has low rank") {
  Module loha(Method::Loha), vera(Method::Vera);
  loha.with(MethodPart::HadaW1A, {2, 1}, {1, 1}).with(MethodPart::HadaW1B, {1, 2}, {1, 1});
  loha.with(MethodPart::HadaW2A, {2, 1}, {1, 1}).with(MethodPart::HadaW2B, {1, 2}, {1, 1});
  loha.placed.scale = 1;
  vera.with(MethodPart::VeraLambdaB, {2}, {1, 1})
      .with(MethodPart::VeraLambdaD, {1}, {1})
      .with(MethodPart::VeraA, {1, 2}, {1, 2})
      .with(MethodPart::VeraB, {2, 1}, {4, 8});
  const Change change{.rows = 2,
                      .columns = 2,
                      .terms = {low_rank_term(vera.placed, false, 1)},
                      .row_terms = {row_term(loha.placed, 1), row_term(loha.placed, -3)}};
  const MadeChange made = make_change(change, {});
  REQUIRE(made.transform != nullptr);
  CHECK(made.transform->is_sum());
  const Values base = {10, 20};
  Values merged(2);
  made.transform->apply(1, base, merged);
  CHECK(merged == Values{10 + 8 + 1 - 3, 20 + 16 + 1 - 3});
}

}  // namespace loraproof::merge
