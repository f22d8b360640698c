// SPDX-License-Identifier: Apache-2.0
// Writes the file that tests/oracles/io_reads_back.py reads with Python safetensors: every element
// type, with bytes 0, 1, 2, ... (BOOL: 0 and 1), an empty tensor, a scalar and odd names.
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "loraproof/io/safetensors.h"
#include "loraproof/io/safetensors_writer.h"

int main(int argc, char** argv) {
  using loraproof::io::DType;
  using loraproof::io::TensorView;
  if (argc != 2) return 2;
  std::vector<std::byte> bytes(48);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
  const std::vector<std::byte> booleans(6, std::byte{1});
  std::vector<TensorView> tensors;
  for (const char* name : {"BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "U16", "I16", "F16", "BF16",
                           "U32", "I32", "F32", "U64", "I64", "F64"}) {
    const DType dtype = *loraproof::io::dtype_from_name(name);
    const auto& source = dtype == DType::Bool ? booleans : bytes;
    tensors.push_back(
        {"t." + std::string(name), dtype, {2, 3}, std::span(source).first(6 * size_of(dtype))});
  }
  tensors.push_back({"scalar", DType::F32, {}, std::span(bytes).first(4)});
  tensors.push_back({"empty", DType::F16, {0, 5}, {}});
  tensors.push_back({"model.\xE5\xB1\x82.\"0\"\\w\n", DType::U8, {1}, std::span(bytes).first(1)});
  try {
    write_safetensors(argv[1], tensors, {{"format", "pt"}, {"note", "caf\xC3\xA9"}});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
