// SPDX-License-Identifier: Apache-2.0
// Any bytes as a JSON Lines file, with the usual limits and with narrow ones.
#include <string>
#include <string_view>

#include "fuzz/fuzz.h"
#include "fuzz/memory_file.h"
#include "loraproof/core/json.h"
#include "loraproof/io/jsonl.h"

namespace {

using loraproof::Json;
using loraproof::fuzz::fuzz_check;
using loraproof::fuzz::MemoryFile;

void check(const MemoryFile& file, std::size_t bytes, loraproof::io::JsonLinesLimits limits) {
  std::int64_t last_line = 0;
  std::int64_t values = 0;
  std::int64_t returned = 0;
  const bool accepted = loraproof::fuzz::only_input_errors([&] {
    returned = loraproof::io::for_each_json_line(
        file.path(),
        [&](const Json& value, std::int64_t line) {
          fuzz_check(line > last_line, "line numbers rise");
          fuzz_check(value.dump().size() > 0, "what was read can be written");
          last_line = line;
          ++values;
        },
        limits);
  });
  if (accepted) fuzz_check(returned == values, "every value is counted");
  fuzz_check(static_cast<std::size_t>(last_line) <= bytes, "a value takes at least a byte");
}

}  // namespace

namespace loraproof::fuzz {

Corpus corpus() {
  return {
      .seeds = {"{\"id\":\"a\",\"prompt\":\"x\"}\n{\"id\":2,\"ids\":[1,2,3]}\n",
                "\xEF\xBB\xBF{\"a\":null}\r\n\r\n[true,-0.5e3]\r\n\"\\ud83d\\ude00\"",
                "1\n\n 2 \n\t\n[[[[]]]]", "{\"k\":1,\"k\":2}\n"},
      .dictionary = {"\n", "\r\n", "\xEF\xBB\xBF", "\xFF\xFE", "{", "}", "[", "]", "\"", "\\u",
                     "\\ud800", "null", "true", "1e999", "-0", "NaN", "//", "\xff", "[[[[[[[["}};
}

}  // namespace loraproof::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const MemoryFile file(loraproof::fuzz::as_text(data, size));
  check(file, size, {});
  check(file, size, {.max_line_bytes = 24, .max_depth = 3});
  return 0;
}
