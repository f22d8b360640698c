// SPDX-License-Identifier: Apache-2.0
// Reads golden/values/drift_statistics.json, and turns rows of data into the sums that the library
// takes.
#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "loraproof/core/json.h"
#include "loraproof/stats/moments.h"
#include "support/catch.h"

namespace loraproof::stats {

constexpr double kExact = 1e-9;  // relative: two libraries, two orders of summation

inline Json drift_oracle(const char* section) {
  return read_json_file(std::filesystem::path(LORAPROOF_SOURCE_DIR) /
                        "golden/values/drift_statistics.json")
      .at(section);
}

// `found` equals the oracle's number; null there stands for infinity. Two zeros by different ways
// may differ by 1e-15.
inline void check_equal(const Json& expected, double found) {
  if (expected.is_null()) {
    CHECK(found == INFINITY);
    return;
  }
  // Approx has a scale of its own, which would make numbers far below 1 equal.
  const auto number = expected.get<double>();
  INFO("expected " << number << ", found " << found);
  CHECK(std::abs(found - number) <= kExact * std::abs(number) + 1e-15);
}

// The same without the allowance for zeros: small p must be right too.
inline void check_p(const Json& expected, double found) {
  const auto number = expected.get<double>();
  INFO("expected " << number << ", found " << found);
  CHECK(std::abs(found - number) <= kExact * number);
}

using Rows = std::vector<std::vector<double>>;  // [n, D]

// Owns what a MomentSums views.
struct OwnedSums {
  explicit OwnedSums(const Rows& rows, std::size_t d) : sum(d), cross(d * d) {
    for (const std::vector<double>& row : rows) {
      ++n;
      for (std::size_t i = 0; i < d; ++i) {
        sum[i] += row[i];
        for (std::size_t j = 0; j < d; ++j) cross[i * d + j] += row[i] * row[j];
      }
    }
  }
  explicit OwnedSums(const Rows& rows) : OwnedSums(rows, rows.front().size()) {}
  [[nodiscard]] MomentSums view() const { return {n, sum, cross}; }

  std::int64_t n = 0;
  std::vector<double> sum;
  std::vector<double> cross;
};

// [n, d] numbers in [-1, 1), as made_up() in tests/oracles/drift_statistics.py.
inline Rows made_up(std::uint64_t state, std::size_t n, std::size_t d, double add = 0) {
  Rows rows(n, std::vector<double>(d));
  for (std::vector<double>& row : rows) {
    for (double& value : row) {
      std::uint64_t z = state += 0x9E3779B97F4A7C15U;
      z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
      z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
      value = std::ldexp(static_cast<double>((z ^ (z >> 31)) >> 11), -52) - 1 + add;
    }
  }
  return rows;
}

}  // namespace loraproof::stats
