// SPDX-License-Identifier: Apache-2.0
// Truth: IEEE 754 encodings written out by hand.
#include "loraproof/adapter/tensor_values.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "support/catch.h"

using namespace loraproof;
using io::DType;

namespace {

template <typename Stored>
std::vector<std::byte> bytes_of(const std::vector<Stored>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(Stored));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

io::TensorView view_of(const std::vector<std::byte>& bytes, DType dtype) {
  return {.name = "t",
          .dtype = dtype,
          .shape = {static_cast<std::int64_t>(bytes.size() / io::size_of(dtype))},
          .bytes = bytes};
}

const double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace

TEST_CASE("values of every type, at any address") {
  const auto half = bytes_of<std::uint16_t>(
      {0x3c00, 0xc000, 0x0000, 0x8000, 0x0001, 0x83ff, 0x0400, 0x7bff, 0x7c00, 0xfc00});
  const std::vector<double> expected = {1.0,
                                        -2.0,
                                        0.0,
                                        -0.0,
                                        std::ldexp(1.0, -24),
                                        -std::ldexp(1023.0, -24),
                                        std::ldexp(1.0, -14),
                                        65504.0,
                                        kInfinity,
                                        -kInfinity};
  CHECK((adapter::values_of(view_of(half, DType::F16)) == expected));
  const auto brain = bytes_of<std::uint16_t>({0x3f80, 0xc0a0, 0x0001, 0x7f80});
  CHECK((adapter::values_of(view_of(brain, DType::BF16)) ==
         std::vector<double>{1.0, -5.0, std::ldexp(1.0, -133), kInfinity}));
  const auto wide = bytes_of<double>({0.1, 1e300});
  CHECK((adapter::values_of(view_of(wide, DType::F64)) ==
         std::vector<double>{static_cast<double>(0.1f), kInfinity}));
  std::vector<std::byte> shifted(9);
  const float value = 1.5f;
  std::memcpy(shifted.data() + 1, &value, sizeof value);
  io::TensorView view = view_of(shifted, DType::F32);
  view.shape = {1};
  view.bytes = view.bytes.subspan(1, 4);
  CHECK((adapter::values_of(view) == std::vector<double>{1.5}));
}

TEST_CASE("zeros of both signs are zero, and NaN and infinity are counted") {
  CHECK(adapter::is_zero(view_of(bytes_of<std::uint16_t>({0x0000, 0x8000}), DType::BF16)));
  CHECK_FALSE(adapter::is_zero(view_of(bytes_of<std::uint16_t>({0x0000, 0x0001}), DType::F16)));
  const auto bytes = bytes_of<std::uint16_t>({0x7f80, 0xff80, 0x7fc0, 0x7f81, 0x3f80});
  const auto found = adapter::count_non_finite(view_of(bytes, DType::BF16));
  CHECK(found.infinities == 2);
  CHECK(found.nans == 2);
}
