// SPDX-License-Identifier: Apache-2.0
// Lets tests/live/tokenizer_live.py ask our tokeniser: one JSON request a line on stdin, one answer
// a line.
//   {"text": "...", "special": true}  -> [ids]
//   {"ids": [...], "skip": true}      -> "text"
//   {"bench": "...", "seconds": 2}    -> {"bytes_per_second": n, "tokens": n}
// Usage: tokenizer_probe TOKENIZER_JSON. The first line out is {"load_seconds": n, "vocab_size":
// n}.
#include <algorithm>
#include <ctime>
#include <iostream>
#include <string>
#include <vector>

#include "loraproof/core/json.h"
#include "loraproof/text/tokenizer.h"

namespace {

using loraproof::Json;
using loraproof::text::Tokenizer;
using loraproof::text::WordCache;

// Of this process alone, so that a busy machine does not blur the comparison.
double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// Prompts of about 500 bytes, cut at character borders, as a suite has them.
Json bench(const Tokenizer& tokenizer, const std::string& text, double seconds) {
  std::vector<std::string> prompts;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = std::min(begin + 500, text.size());
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
    prompts.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  std::size_t bytes = 0;
  std::size_t tokens = 0;
  const double start = processor_seconds();
  do {
    tokens = 0;
    for (const auto& prompt : prompts) tokens += tokenizer.encode(prompt, false).size();
    bytes += text.size();
  } while (processor_seconds() - start < seconds);
  return {{"bytes_per_second", static_cast<double>(bytes) / (processor_seconds() - start)},
          {"tokens", tokens}};
}

// Without special tokens as `drift` does it: with the words of the texts before remembered.
Json encode(const Tokenizer& tokenizer, WordCache& cache, const std::string& text, bool special) {
  if (special) return tokenizer.encode(text, true);
  std::vector<std::int32_t> ids;
  tokenizer.encode(text, cache, ids);
  return ids;
}

Json answer(const Tokenizer& tokenizer, WordCache& cache, const Json& request) {
  if (request.contains("text")) {
    return encode(tokenizer, cache, request["text"].get<std::string>(),
                  request["special"].get<bool>());
  }
  if (request.contains("bench")) {
    return bench(tokenizer, request["bench"].get<std::string>(), request["seconds"].get<double>());
  }
  return tokenizer.decode(request["ids"].get<std::vector<std::int32_t>>(),
                          request["skip"].get<bool>());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 2) return 2;
    const double start = processor_seconds();
    const auto tokenizer = Tokenizer::from_file(argv[1]);
    std::cout << Json{{"load_seconds", processor_seconds() - start},
                      {"vocab_size", tokenizer.vocab_size()}}
              << std::endl;
    WordCache cache;
    for (std::string line; std::getline(std::cin, line);) {
      std::cout << answer(tokenizer, cache, Json::parse(line)) << '\n';
    }
    return std::cout.flush() ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
