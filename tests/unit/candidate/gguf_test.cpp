// SPDX-License-Identifier: Apache-2.0
// GGUF models by hand: names, the order of rope, norms plus one, and what is refused.
#include <string>
#include <vector>

#include "loraproof/candidate/gguf_names.h"
#include "support/catch.h"
#include "unit/candidate/checkpoint_folder.h"
#include "unit/io/gguf_image.h"

using loraproof::test::GgufImage;
using loraproof::test::input_error_of;
using loraproof::test::TempDir;
using loraproof::test::values_of;

namespace {

GgufImage model(const std::string& architecture) {
  GgufImage image;
  image.text("general.architecture", architecture).u32(architecture + ".block_count", 1);
  image.u32(architecture + ".embedding_length", 4);
  image.u32(architecture + ".attention.head_count", 2);
  image.u32(architecture + ".attention.head_count_kv", 1);
  image.f32(architecture + ".rope.freq_base", 500000.0f);
  image.tensor("token_embd.weight", 0, {3, 2}, GgufImage::floats({1, 2, 3, 4, 5, 6}));
  return image;
}

loraproof::candidate::WeightSource open(const TempDir& folder, const GgufImage& image) {
  return loraproof::candidate::open_candidate(folder.write("x.gguf", image.image()).string());
}

std::string refusal(const GgufImage& image) {
  const TempDir folder;
  const auto detail = input_error_of([&] { (void)open(folder, image); });
  CHECK(detail.file == (folder.path() / "x.gguf").string());
  return detail.where + ": " + detail.message + ": expected " + detail.expected + ", found " +
         detail.found;
}

}  // namespace

TEST_CASE("rows of q and k of llama come back from the order of rope") {
  const TempDir folder;
  GgufImage image = model("llama");
  // Two heads of four rows for q, one for k; a row holds its number in the file.
  image.tensor("blk.0.attn_q.weight", 0, {8, 1}, GgufImage::floats({0, 1, 2, 3, 4, 5, 6, 7}));
  image.tensor("blk.0.attn_k.weight", 0, {4, 1}, GgufImage::floats({0, 1, 2, 3}));
  image.tensor("blk.0.attn_k.bias", 0, {4}, GgufImage::floats({0, 1, 2, 3}));
  image.tensor("blk.0.attn_v.weight", 0, {4, 1}, GgufImage::floats({0, 1, 2, 3}));
  image.tensor("rope_freqs.weight", 0, {1}, GgufImage::floats({1}));
  const auto source = open(folder, image);
  const std::string layer = "model.layers.0.self_attn.";
  CHECK(values_of(source, layer + "q_proj.weight") == std::vector<float>{0, 2, 1, 3, 4, 6, 5, 7});
  CHECK(values_of(source, layer + "k_proj.weight") == std::vector<float>{0, 2, 1, 3});
  CHECK(values_of(source, layer + "k_proj.bias") == std::vector<float>{0, 2, 1, 3});
  CHECK(values_of(source, layer + "v_proj.weight") == std::vector<float>{0, 1, 2, 3});
  CHECK(source.names().size() == 5);
  REQUIRE(source.about().gguf);
  CHECK(source.about().gguf->has_rope_freqs);
  CHECK(source.about().gguf->tie_word_embeddings);
  CHECK(source.about().gguf->vocab_size == 3);
  CHECK(source.about().gguf->rope_theta == 500000.0);
  CHECK(source.about().gguf->head_dim == 2);
  CHECK(source.about().scheme == "gguf");
}

TEST_CASE("rows of q of qwen2 stay as they are") {
  const TempDir folder;
  GgufImage image = model("qwen2");
  image.tensor("blk.0.attn_q.weight", 0, {4, 1}, GgufImage::floats({0, 1, 2, 3}));
  CHECK(values_of(open(folder, image), "model.layers.0.self_attn.q_proj.weight") ==
        std::vector<float>{0, 1, 2, 3});
}

TEST_CASE("norms of gemma lose the one that the converter added, and names follow the four norms") {
  const TempDir folder;
  GgufImage image = model("gemma2");
  image.tensor("output_norm.weight", 0, {2}, GgufImage::floats({1.5f, 0}));
  image.tensor("blk.0.ffn_norm.weight", 0, {2}, GgufImage::floats({1, 2}));
  image.tensor("blk.0.post_attention_norm.weight", 0, {2}, GgufImage::floats({3, 4}));
  const auto source = open(folder, image);
  CHECK(values_of(source, "model.norm.weight") == std::vector<float>{0.5f, -1});
  CHECK(values_of(source, "model.layers.0.pre_feedforward_layernorm.weight") ==
        std::vector<float>{0, 1});
  CHECK(values_of(source, "model.layers.0.post_attention_layernorm.weight") ==
        std::vector<float>{2, 3});
  CHECK(values_of(source, "model.embed_tokens.weight")[0] == 1);
}

TEST_CASE("head counts of each layer that agree are one head count") {
  const TempDir folder;
  GgufImage image;
  image.text("general.architecture", "llama").u32("llama.block_count", 2);
  image.u32("llama.embedding_length", 4);
  const auto counts = [](std::uint32_t second) {
    return GgufImage::number(4u) + GgufImage::number(2ul) + GgufImage::number(2u) +
           GgufImage::number(second);
  };
  GgufImage other = image;
  image.entry("llama.attention.head_count", 9, counts(2));
  image.tensor("token_embd.weight", 0, {1, 1}, GgufImage::floats({1}));
  CHECK(open(folder, image).about().gguf->num_attention_heads == 2);
  other.entry("llama.attention.head_count", 9, counts(3));
  other.tensor("token_embd.weight", 0, {1, 1}, GgufImage::floats({1}));
  CHECK(
      refusal(other) ==
      "llama.attention.head_count: layers differ in this value: expected one value, found several");
}

TEST_CASE("gguf models that are not read are refused by name") {
  CHECK(refusal(model("mamba")) ==
        "general.architecture: architecture of the GGUF file is not read: expected one of llama, "
        "qwen2, qwen3, gemma, gemma2, gemma3, found \"mamba\"");
  GgufImage experts = model("llama");
  experts.tensor("blk.0.ffn_gate_exps.weight", 0, {1, 1}, GgufImage::floats({1}));
  CHECK(refusal(experts).find("\"blk.0.ffn_gate_exps.weight\": tensor has no place") == 0);
  GgufImage layer = model("llama");
  layer.tensor("blk.1.attn_q.weight", 0, {4, 1}, GgufImage::floats({1, 2, 3, 4}));
  CHECK(refusal(layer).find("\"blk.1.attn_q.weight\": tensor has no place") == 0);
  GgufImage type = model("llama");
  type.tensor("output.weight", 16, {1, 256}, std::string(66, 'x'));
  CHECK(refusal(type).find("\"output.weight\": ggml type is not read: expected f32, f16, q4_0") ==
        0);
  GgufImage heads = model("llama");
  heads.tensor("blk.0.attn_q.weight", 0, {6, 1}, GgufImage::floats({1, 2, 3, 4, 5, 6}));
  CHECK(refusal(heads) ==
        "\"blk.0.attn_q.weight\": rows do not split into heads: expected 2 heads of an even size, "
        "found [6, 1]");
  GgufImage split = model("llama");
  split.u32("split.count", 2);
  CHECK(refusal(split) ==
        "split.count: one part of a split GGUF file: expected a whole file, found a part");
}

TEST_CASE("names of modules in a GGUF file and back") {
  using loraproof::candidate::gguf_name;
  for (const char* module : {"model.embed_tokens", "lm_head", "model.layers.12.self_attn.q_proj",
                             "model.layers.0.mlp.down_proj"}) {
    CAPTURE(module);
    CHECK(loraproof::candidate::hugging_face_name({.layers = 13}, gguf_name(module) + ".weight") ==
          std::string(module) + ".weight");
  }
  CHECK(gguf_name("model.layers.12.self_attn.q_proj") == "blk.12.attn_q");
  CHECK(gguf_name("model.layers.3.mlp.router").empty());
  CHECK(gguf_name("visual.0").empty());
}

TEST_CASE("gguf summaries name the key that is missing or wrong") {
  CHECK(refusal(GgufImage()) ==
        "general.architecture: GGUF value is missing: expected a string, found nothing");
  GgufImage wrong;
  wrong.u32("general.architecture", 1);
  CHECK(refusal(wrong) == "general.architecture: wrong type: expected a string, found uint32");
  GgufImage bare;
  bare.text("general.architecture", "llama");
  CHECK(refusal(bare) ==
        "llama.block_count: GGUF value is missing: expected a whole number, found nothing");
  GgufImage zero;
  zero.text("general.architecture", "llama").u32("llama.block_count", 0);
  CHECK(refusal(zero) == "llama.block_count: value out of range: expected 1 to 2^40, found 0");
  GgufImage embedding;
  embedding.text("general.architecture", "llama").u32("llama.block_count", 1);
  embedding.u32("llama.embedding_length", 4).u32("llama.attention.head_count", 1);
  CHECK(refusal(embedding).find("token_embd.weight: embedding is missing or no matrix") == 0);
}
