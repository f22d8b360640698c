// SPDX-License-Identifier: Apache-2.0
// Any bytes as a GGUF file. What is accepted has tensors inside the file that share no byte, and
// values that can be asked for.
#include <algorithm>
#include <set>
#include <string>
#include <string_view>

#include "fuzz/fuzz.h"
#include "fuzz/memory_file.h"
#include "loraproof/candidate/weight_source.h"
#include "loraproof/io/gguf.h"
#include "unit/io/gguf_image.h"

namespace {

using loraproof::fuzz::fuzz_check;
using loraproof::test::GgufImage;

void check(std::span<const std::byte> bytes) {
  loraproof::io::GgufHeader header;
  const bool accepted = loraproof::fuzz::only_input_errors(
      [&] { header = loraproof::io::parse_gguf(bytes, "fuzz"); });
  if (!accepted) return;
  const std::byte* end = bytes.data() + bytes.size();
  for (const auto& [key, value] : header.metadata) {
    fuzz_check(!key.empty(), "keys are set");
    fuzz_check(value.bytes.data() + value.bytes.size() <= end, "values lie in the file");
    const bool answers = value.integer() || value.number() || value.boolean() || value.text() ||
                         value.texts() || value.integers();
    const bool silent =
        value.type == loraproof::io::GgufType::Array || value.type == loraproof::io::GgufType::U64;
    fuzz_check(answers || silent, "scalars can be asked for");
    if (const auto texts = value.texts()) {
      fuzz_check(texts->size() == value.count, "arrays of texts have all elements");
    }
  }
  std::set<std::string_view> names;
  for (const auto& tensor : header.tensors) {
    fuzz_check(names.insert(tensor.name).second, "names are unique");
    fuzz_check(
        tensor.bytes.data() >= bytes.data() && tensor.bytes.data() + tensor.bytes.size() <= end,
        "tensors lie in the file");
    std::size_t count = 1;
    for (const std::int64_t size : tensor.shape) count *= static_cast<std::size_t>(size);
    fuzz_check(count / tensor.type->block_values * tensor.type->block_bytes == tensor.bytes.size(),
               "bytes are those of type and shape");
    if (tensor.type->decode_block == nullptr) continue;
    std::vector<float> values(count);
    loraproof::io::decode_ggml(*tensor.type, tensor.bytes, values);
  }
}

// As a candidate: what opens can be decoded whole.
void check_candidate(std::string_view image) {
  const loraproof::fuzz::MemoryFile file(image);
  loraproof::fuzz::only_input_errors([&] {
    const auto source = loraproof::candidate::open_candidate(file.path().string());
    for (const std::string& name : source.names()) {
      std::vector<float> out(
          static_cast<std::size_t>(source.row_count(name) * source.row_length(name)));
      source.rows(name, 0, source.row_count(name), out);
    }
  });
}

GgufImage model(std::uint32_t type, std::string_view row) {
  GgufImage image;
  image.text("general.architecture", "llama").u32("llama.block_count", 1);
  image.u32("llama.embedding_length", 32).u32("llama.attention.head_count", 2);
  image.u32("llama.attention.head_count_kv", 1).texts("tokenizer.ggml.tokens", {"a", "b"});
  image.tensor("token_embd.weight", type, {1, 32}, row);
  const std::string four = std::string(row).append(row).append(row).append(row);
  image.tensor("blk.0.attn_q.weight", type, {4, 32}, four);
  return image;
}

}  // namespace

namespace loraproof::fuzz {

Corpus corpus() {
  GgufImage old = model(0, std::string(128, '\0'));
  old.version = 2;
  GgufImage wide;
  wide.alignment = 8;
  wide.u32("general.alignment", 8)
      .entry("k", 9, GgufImage::number(5u) + GgufImage::number(1ul) + "abcd");
  wide.tensor("a", 30, {2}, "abcd").tensor("b", 12, {256}, std::string(144, 'x'));
  return {.seeds = {model(2, std::string(18, 'x')).image(), model(8, std::string(34, 'y')).image(),
                    old.image(), wide.image(), GgufImage().image()},
          .dictionary = {"GGUF", "general.alignment", "llama.block_count", "blk.0.", "attn_q",
                         std::string("\x09\0\0\0", 4), std::string("\xff\xff\xff\xff", 4),
                         std::string("\0\0\0\0\0\0\0\x80", 8), std::string("\1\0\0\0\0\0\0\0", 8)}};
}

}  // namespace loraproof::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view image = loraproof::fuzz::as_text(data, size);
  check(std::as_bytes(std::span(image.data(), image.size())));
  check_candidate(image);
  return 0;
}
