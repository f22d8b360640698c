// SPDX-License-Identifier: Apache-2.0
// What no peer can say: dropping at random. The other methods are compared with PEFT's functions in
// tests/live/merge_live.py.
#include "loraproof/merge/combine.h"

#include <cmath>
#include <cstring>

#include "support/catch.h"

namespace loraproof::merge {
namespace {

struct Ones {
  explicit Ones(std::vector<std::int64_t> shape) {
    view.dtype = io::DType::F32;
    view.shape = std::move(shape);
    bytes.resize(static_cast<std::size_t>(view.numel()) * 4);
    const float one = 1;
    for (std::size_t i = 0; i < bytes.size(); i += 4) std::memcpy(bytes.data() + i, &one, 4);
    view.bytes = bytes;
  }
  io::TensorView view;
  std::vector<std::byte> bytes;
};

LowRank dropped(const Ones& left, const Ones& right, std::uint64_t seed, const std::string& name) {
  LowRank low_rank{.rows = left.view.shape[0], .columns = right.view.shape[1]};
  combine(low_rank, {{Factor::of(left.view), Factor::of(right.view), 1.0}},
          {.how = Combination::DareLinear, .density = 0.25, .seed = seed}, name);
  return low_rank;
}

}  // namespace

TEST_CASE("dare keeps a share of the values, rescaled, and follows seed and name") {
  const Ones left({100, 40}), right({40, 100});
  const LowRank one = dropped(left, right, 7, "a");
  std::size_t kept = 0;
  for (const double value : one.left) {
    CHECK((value == 0 || value == 4));
    kept += value != 0 ? 1 : 0;
  }
  CHECK(std::fabs(static_cast<double>(kept) - 1000) < 5 * std::sqrt(4000 * 0.25 * 0.75));
  CHECK(dropped(left, right, 7, "a").left == one.left);
  CHECK(dropped(left, right, 8, "a").left != one.left);
  CHECK(dropped(left, right, 7, "b").left != one.left);
}

}  // namespace loraproof::merge
