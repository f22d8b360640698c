// SPDX-License-Identifier: Apache-2.0
// For libFuzzer builds: with LORAPROOF_FUZZ_CORPUS=DIR in the environment the program writes the
// target's seeds to DIR/seeds and its dictionary to DIR/dictionary, and ends.
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>

#include "fuzz/fuzz.h"

namespace {

std::string quoted(const std::string& piece) {
  std::string out = "\"";
  for (const char c : piece) out += fmt::format("\\x{:02X}", static_cast<unsigned char>(c));
  return out + "\"\n";
}

void write_corpus(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder / "seeds");
  const loraproof::fuzz::Corpus corpus = loraproof::fuzz::corpus();
  for (std::size_t i = 0; i < corpus.seeds.size(); ++i) {
    std::ofstream(folder / "seeds" / std::to_string(i), std::ios::binary) << corpus.seeds[i];
  }
  std::ofstream dictionary(folder / "dictionary");
  for (const std::string& piece : corpus.dictionary) dictionary << quoted(piece);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  if (const char* folder = std::getenv("LORAPROOF_FUZZ_CORPUS")) {
    write_corpus(folder);
    std::exit(0);
  }
  return 0;
}
