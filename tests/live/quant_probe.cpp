// SPDX-License-Identifier: Apache-2.0
// Lets tests/live/quant_live.py ask for simulated quantisation: one JSON request a line on stdin,
// one answer a line.
//   {"scheme", "dtype": "BF16", "rows", "columns", "input": file with the values, "output": prefix,
//    "block_rows": n}
//   -> {"bytes", "dtype", "stored_as", "tensor_scales", "clipped", "overflowed", "non_finite",
//       "seconds"}, and the files prefix.values, .codes, .scales, .scale_codes, .zeros
//   {"schemes": true} -> [names]
// An Error is answered as {"error": text}.
#include <algorithm>
#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "loraproof/core/error.h"
#include "loraproof/core/json.h"
#include "loraproof/quant/scheme.h"

namespace {

using loraproof::Json;
namespace quant = loraproof::quant;
namespace io = loraproof::io;

io::DType dtype_named(const std::string& name) {
  for (const io::DType dtype : {io::DType::BF16, io::DType::F16, io::DType::F32, io::DType::F64})
    if (io::name_of(dtype) == name) return dtype;
  throw loraproof::usage_error({.message = "unknown type", .found = name});
}

std::vector<std::byte> read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::byte> bytes(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) bytes[i] = static_cast<std::byte>(text[i]);
  return bytes;
}

template <typename Value>
void write(const std::string& path, const std::vector<Value>& values) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(values.data()),
             static_cast<std::streamsize>(values.size() * sizeof(Value)));
}

double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

Json answer(const Json& request) {
  if (request.contains("schemes")) {
    Json names = Json::array();
    for (const quant::Scheme& scheme : quant::schemes()) names.push_back(std::string(scheme.name));
    return names;
  }
  const quant::Shape shape{.rows = request["rows"].get<std::int64_t>(),
                           .columns = request["columns"].get<std::int64_t>(),
                           .dtype = dtype_named(request["dtype"].get<std::string>())};
  const auto quantiser = quant::find_scheme(request["scheme"].get<std::string>()).make(shape);
  const std::vector<std::byte> input = read(request["input"].get<std::string>());
  const std::string prefix = request["output"].get<std::string>();
  const std::int64_t step = quantiser->row_step();
  const std::int64_t rows = (request["block_rows"].get<std::int64_t>() + step - 1) / step * step;
  const std::size_t row_bytes = static_cast<std::size_t>(shape.columns) * io::size_of(shape.dtype);
  const std::size_t result_row_bytes =
      static_cast<std::size_t>(shape.columns) * io::size_of(quantiser->result_dtype());
  std::vector<std::byte> values(static_cast<std::size_t>(shape.rows) * result_row_bytes);
  quant::Stored stored;
  quant::Tally tally;
  const bool keep = !request.value("bench", false);
  const auto each_block = [&](auto visit) {
    for (std::int64_t row = 0; row < shape.rows; row += rows) {
      const auto count = static_cast<std::size_t>(std::min(rows, shape.rows - row));
      visit(row,
            std::span(input).subspan(static_cast<std::size_t>(row) * row_bytes, count * row_bytes),
            std::span(values).subspan(static_cast<std::size_t>(row) * result_row_bytes,
                                      count * result_row_bytes));
    }
  };
  const double start = processor_seconds();
  if (quantiser->needs_survey())
    each_block([&](std::int64_t row, auto block, auto) { quantiser->survey(row, block); });
  each_block([&](std::int64_t row, auto block, auto out) {
    quantiser->dequantise(row, block, out, tally, keep ? &stored : nullptr);
  });
  const double seconds = processor_seconds() - start;
  if (keep) {
    write(prefix + ".values", values);
    write(prefix + ".codes", stored.codes);
    write(prefix + ".scales", stored.scales);
    write(prefix + ".scale_codes", stored.scale_codes);
    write(prefix + ".zeros", stored.zeros);
  }
  Json scales = Json::array();
  for (const float scale : quantiser->tensor_scales()) scales.push_back(scale);
  return {{"bytes", quantiser->stored_bytes()},
          {"dtype", std::string(io::name_of(quantiser->result_dtype()))},
          {"stored_as", std::string(quantiser->stored_as())},
          {"tensor_scales", scales},
          {"clipped", tally.clipped},
          {"overflowed", tally.overflowed},
          {"non_finite", tally.non_finite},
          {"seconds", seconds}};
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    try {
      std::cout << answer(Json::parse(line)) << std::endl;
    } catch (const std::exception& error) {
      std::cout << Json{{"error", error.what()}} << std::endl;
    }
  }
  return 0;
}
