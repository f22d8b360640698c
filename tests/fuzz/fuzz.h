// SPDX-License-Identifier: Apache-2.0
// What a fuzz target defines: the entry point of libFuzzer, and seeds for the built-in mutator of
// fuzz_main.cpp, which runs the same target without clang as an ordinary test.
//
// A target accepts any bytes. It lets input Errors pass (see only_input_errors), and calls
// fuzz_check for what must hold of everything that was accepted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "loraproof/core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace loraproof::fuzz {

struct Corpus {
  std::vector<std::string> seeds;       ///< Small inputs, valid or nearly so.
  std::vector<std::string> dictionary;  ///< Pieces of the format that mutations put in.
};

/// Defined by each target.
Corpus corpus();

inline void fuzz_check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: violated: %s\n", what);
  std::abort();
}

/// Runs `parse`; an input Error with a message is a right answer, anything else is not caught.
/// Returns whether the input was accepted.
template <typename Function>
bool only_input_errors(const Function& parse) {
  try {
    parse();
    return true;
  } catch (const Error& error) {
    fuzz_check(error.kind() == ErrorKind::Input, "errors about inputs are input errors");
    fuzz_check(!error.detail().message.empty(), "errors have a message");
    fuzz_check(error.detail().message.size() < 4096, "messages are bounded");
    return false;
  }
}

inline std::string_view as_text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace loraproof::fuzz
