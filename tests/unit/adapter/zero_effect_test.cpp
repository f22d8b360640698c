// SPDX-License-Identifier: Apache-2.0
// Truth: hand values, and golden/values/adapter_landing.json (the dense f64 delta of PEFT's loaded
// adapters).
#include "loraproof/adapter/zero_effect.h"

#include <cmath>
#include <deque>
#include <string>
#include <vector>

#include "loraproof/adapter/gram.h"
#include "support/catch.h"
#include "unit/adapter/support.h"

using namespace loraproof;
using adapter::PlacedModule;

namespace {

/// Tensors in memory that modules can be placed on.
class Shelf {
 public:
  const io::TensorView* put(std::vector<std::int64_t> shape, std::vector<float> values) {
    values_.push_back(std::move(values));
    views_.push_back({.name = "t",
                      .dtype = io::DType::F32,
                      .shape = std::move(shape),
                      .bytes = std::as_bytes(std::span(values_.back()))});
    return &views_.back();
  }

 private:
  std::deque<std::vector<float>> values_;
  std::deque<io::TensorView> views_;
};

using Modules = std::map<std::string, PlacedModule>;

std::string id_of(const Modules& modules) {
  const auto findings = adapter::find_zero_effect(modules, adapter::delta_norms(modules));
  return findings.empty() ? std::string() : findings[0].id;
}

}  // namespace

TEST_CASE("the norm of the delta, by hand") {
  Shelf shelf;
  const PlacedModule module = {.lora_a = shelf.put({1, 2}, {1, 2}),
                               .lora_b = shelf.put({3, 1}, {3, 0, 4}),
                               .scale = -2.0};  // D = -2 [3 6; 0 0; 4 8], ‖D‖ = 2·5·√5
  CHECK(adapter::delta_norm(module) == Approx(10.0 * std::sqrt(5.0)).epsilon(1e-14));
  CHECK(adapter::delta_norm(PlacedModule{}) == 0.0);
}

TEST_CASE("the norm of the delta is that of the dense f64 delta") {
  int compared = 0;
  for (const auto& [name, value] : test::landing_values().at("cases").items()) {
    const auto config = adapter::read_adapter_config(test::fixture(name));
    const io::SafetensorsFile file(test::fixture(name) / "adapter_model.safetensors");
    const auto modules = test::base_modules(value.at("base").get<std::string>());
    const auto placement = adapter::place(config, file, modules);
    CHECK(id_of(placement.modules).empty());
    for (const auto& [path, entry] : value.at("lora").items()) {
      INFO(name << " " << path);
      const double norm = adapter::delta_norms(placement.modules).at(path);
      // f64 against f64; 1e-12 is the rounding of the two orders of summation.
      CHECK(norm == Approx(entry.at("delta_norm").get<double>()).epsilon(1e-12));
      // PEFT's own get_delta_weight works in f32.
      CHECK(norm == Approx(entry.at("peft_delta_norm").get<double>()).epsilon(1e-5));
      ++compared;
    }
  }
  CHECK(compared > 100);
}

TEST_CASE("Gram matrices of any size, exactly where the values are whole numbers") {
  for (const std::int64_t rows : {1, 3, 4, 9}) {
    for (const std::int64_t columns : {1, 5, 512, 1030}) {
      INFO(rows << " x " << columns);
      std::vector<double> x;
      for (std::int64_t i = 0; i < rows * columns; ++i)
        x.push_back(static_cast<double>(i * 7 % 11) - 5.0);
      const auto at = [&](std::int64_t i, std::int64_t k) {
        return x[static_cast<std::size_t>(i * columns + k)];
      };
      const std::vector<double> gram = adapter::gram_of_rows(x, rows);
      REQUIRE(gram.size() == static_cast<std::size_t>(rows * rows));
      for (std::int64_t i = 0; i < rows; ++i) {
        for (std::int64_t j = 0; j < rows; ++j) {
          double expected = 0.0;
          for (std::int64_t k = 0; k < columns; ++k) expected += at(i, k) * at(j, k);
          CHECK(gram[static_cast<std::size_t>(i * rows + j)] == expected);
        }
      }
    }
  }
  // x = [1 2], y = [3 0 4] for rank 1: ‖yᵀx‖² = 5 · 25.
  CHECK(adapter::product_norm2(std::vector<double>{1, 2}, std::vector<double>{3, 0, 4}, 1) ==
        125.0);
  CHECK((adapter::transposed(std::vector<double>{1, 2, 3, 4, 5, 6}, 2) ==
         std::vector<double>{1, 4, 2, 5, 3, 6}));
}

TEST_CASE("zero effects are found with their cause") {
  Shelf shelf;
  const auto* a = shelf.put({1, 2}, {1, 1});
  const auto* b = shelf.put({3, 1}, {1, 1, 1});
  const auto* zero_a = shelf.put({1, 2}, {0, -0.0f});
  const auto* zero_b = shelf.put({3, 1}, {0, 0, 0});
  const auto lora = [](const io::TensorView* left, const io::TensorView* right, double scale) {
    return PlacedModule{.lora_a = left, .lora_b = right, .scale = scale};
  };
  CHECK(id_of({{"m", lora(a, b, 1.0)}}).empty());
  CHECK(id_of({{"m", lora(a, zero_b, 1.0)}}) == "effect.zero_adapter");
  CHECK(id_of({{"m", lora(zero_a, b, 1.0)}}) == "effect.zero_adapter");
  CHECK(id_of({{"m", lora(a, b, 0.0)}}) == "effect.zero_adapter");
  CHECK(id_of({}) == "effect.zero_adapter");
  CHECK(id_of({{"m", lora(a, b, 0.0)}, {"n", lora(a, b, 1.0)}}) == "effect.zero_module");
  // B and A are not zero, but their product is.
  CHECK(id_of({{"m", lora(shelf.put({2, 2}, {0, 0, 1, 1}), shelf.put({1, 2}, {1, 0}), 1.0)}}) ==
        "effect.zero_adapter");
  PlacedModule biased = lora(a, zero_b, 1.0);
  biased.lora_bias = b;
  CHECK(id_of({{"m", biased}}).empty());
  CHECK(id_of({{"m", PlacedModule{.weight = shelf.put({3, 2}, {1, 1, 1, 1, 1, 1})}}}).empty());
}
