// SPDX-License-Identifier: Apache-2.0
// Test-only: opens a candidate and writes every weight as float32, one after another in name order,
// for tests/live/candidate_live.py to compare with the library that wrote it.
//   candidate_probe PATH OUT [ROWS]   decodes ROWS rows at a time (default 7)
// stdout: {"scheme", "seconds", "weights": [{"name", "shape", "method", "stored_bytes", "offset"}],
// "gguf"}.
// An Error is printed as {"error": text} with exit status 3.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "loraproof/candidate/weight_source.h"
#include "loraproof/core/error.h"
#include "loraproof/core/json.h"

namespace {

using loraproof::Json;
using loraproof::candidate::WeightSource;

template <typename Value>
Json or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json();
}

Json summary_json(const loraproof::candidate::GgufSummary& summary) {
  return {{"architecture", summary.architecture},
          {"num_hidden_layers", summary.num_hidden_layers},
          {"hidden_size", summary.hidden_size},
          {"num_attention_heads", summary.num_attention_heads},
          {"num_key_value_heads", summary.num_key_value_heads},
          {"head_dim", summary.head_dim},
          {"vocab_size", summary.vocab_size},
          {"tie_word_embeddings", summary.tie_word_embeddings},
          {"tokens", or_null(summary.tokens)},
          {"intermediate_size", or_null(summary.intermediate_size)},
          {"max_position_embeddings", or_null(summary.max_position_embeddings)},
          {"rope_theta", or_null(summary.rope_theta)},
          {"rms_norm_eps", or_null(summary.rms_norm_eps)},
          {"file_type", or_null(summary.file_type)}};
}

Json probe(const std::string& path, const std::string& out, std::int64_t rows) {
  const WeightSource source = loraproof::candidate::open_candidate(path);
  std::ofstream file(out, std::ios::binary);
  Json weights = Json::array();
  std::vector<float> values;
  std::int64_t offset = 0;
  double seconds = 0;
  for (const std::string& name : source.names()) {
    const auto shape = source.shape(name);
    weights.push_back({{"name", name},
                       {"shape", std::vector<std::int64_t>(shape.begin(), shape.end())},
                       {"method", source.method(name)},
                       {"stored_bytes", source.stored_bytes(name)},
                       {"offset", offset}});
    const std::int64_t length = source.row_length(name);
    for (std::int64_t row = 0; row < source.row_count(name); row += rows) {
      const std::int64_t count = std::min(rows, source.row_count(name) - row);
      values.resize(static_cast<std::size_t>(count * length));
      const auto start = std::chrono::steady_clock::now();
      source.rows(name, row, count, values);
      seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      file.write(reinterpret_cast<const char*>(values.data()),
                 static_cast<std::streamsize>(values.size() * sizeof(float)));
      offset += count * length;
    }
    source.done_with(name);
  }
  if (!file.flush()) throw std::runtime_error("can't write " + out);
  Json result = {{"scheme", source.about().scheme}, {"seconds", seconds}, {"weights", weights}};
  if (source.about().gguf) result["gguf"] = summary_json(*source.about().gguf);
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) return 2;
  try {
    std::cout << probe(argv[1], argv[2], argc == 4 ? std::atoll(argv[3]) : 7) << '\n';
    return std::cout.flush() ? 0 : 1;
  } catch (const loraproof::Error& error) {
    std::cout << Json{{"error", error.what()}} << '\n';
    return error.kind() == loraproof::ErrorKind::Input ? 3 : 4;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
