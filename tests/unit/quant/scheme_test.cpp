// SPDX-License-Identifier: Apache-2.0
#include "loraproof/quant/scheme.h"

#include <cstdio>
#include <fstream>
#include <set>
#include <string>

#include "loraproof/core/error.h"
#include "support/catch.h"

namespace loraproof::quant {
namespace {

std::string_view text_of(Skips skips) {
  switch (skips) {
    case Skips::HeadAndEmbeddings: return "head, embeddings, routers";
    case Skips::RoutersAndPositions: return "routers, position embeddings";
    case Skips::Nothing: break;
  }
  return "nothing";
}

std::string_view text_of(Activations activations) {
  switch (activations) {
    case Activations::Int8PerTokenTorchao:
    case Activations::Int8PerToken: return "int8";
    case Activations::Int8PerTokenAndOutliers: return "int8, outliers F16";
    case Activations::E4m3PerTokenTorchao:
    case Activations::E4m3PerToken: return "E4M3";
    case Activations::E4m3Static: return "E4M3, one scale";
    case Activations::E4m3PerGroup: return "E4M3, groups of 128";
    case Activations::None: break;
  }
  return "";
}

// "4.50", of a BF16 matrix of 4096 x 4096.
std::string bits_of(const Scheme& scheme) {
  const auto bytes = scheme.make({4096, 4096, io::DType::BF16})->stored_bytes();
  char text[16];
  std::snprintf(text, sizeof text, "%.2f", static_cast<double>(bytes) * 8 / (4096.0 * 4096.0));
  return text;
}

}  // namespace

TEST_CASE("the table in the documentation is the table of schemes") {
  std::ifstream page(LORAPROOF_SOURCE_DIR "/docs/quantisation.md");
  REQUIRE(page.good());
  std::vector<std::string> rows;
  for (std::string line; std::getline(page, line);)
    if (line.starts_with("| `")) rows.push_back(line);
  REQUIRE(rows.size() == schemes().size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Scheme& scheme = schemes()[i];
    INFO(rows[i]);
    const std::string start = "| `" + std::string(scheme.name) + "` | " +
                              std::string(scheme.library) + " | " + bits_of(scheme) + " | ";
    const std::string inputs(text_of(scheme.activations));
    const std::string end = " | " + std::string(text_of(scheme.skips)) + " | " + inputs +
                            (inputs.empty() ? "| " : " | ") + std::string(scheme.meaning) + " |";
    CHECK(rows[i].starts_with(start));
    CHECK(rows[i].ends_with(end));
  }
}

TEST_CASE("schemes have one name each, and say whose arithmetic they are") {
  std::set<std::string_view> names;
  for (const Scheme& scheme : schemes()) {
    CHECK(names.insert(scheme.name).second);
    CHECK(!scheme.library.empty());
    CHECK(!scheme.meaning.empty());
    CHECK(&find_scheme(scheme.name) == &scheme);
  }
}

TEST_CASE("an unknown scheme is a usage error with the names and the nearest one") {
  try {
    (void)find_scheme("int4-g132");
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::Usage);
    CHECK(error.detail().found == "'int4-g132'");
    CHECK(error.detail().expected.find("nf4-dq") != std::string::npos);
    CHECK(error.detail().hint == "did you mean 'int4-g32'?");
  }
}

TEST_CASE("libraries skip the head, embeddings and routers; llama.cpp only routers and positions") {
  const Scheme& nf4 = find_scheme("nf4");
  const Scheme& q4_k = find_scheme("q4_k");
  const Scheme& fp16 = find_scheme("fp16");
  for (const char* module : {"lm_head", "model.embed_tokens", "transformer.wte", "transformer.wpe"})
    CHECK(skips_by_default(nf4, module));
  CHECK(skips_by_default(nf4, "model.layers.3.mlp.gate"));
  CHECK(!skips_by_default(nf4, "model.layers.3.mlp.gate_proj"));
  CHECK(!skips_by_default(q4_k, "lm_head"));
  CHECK(!skips_by_default(q4_k, "model.embed_tokens"));
  CHECK(skips_by_default(q4_k, "transformer.wpe"));
  CHECK(skips_by_default(q4_k, "model.layers.3.mlp.router"));
  CHECK(!skips_by_default(fp16, "lm_head"));
  CHECK(!skips_by_default(fp16, "model.layers.3.mlp.gate"));
}

TEST_CASE("schemes with quantised inputs are marked") {
  CHECK(find_scheme("nf4").activations == Activations::None);
  CHECK(find_scheme("int8").activations == Activations::None);
  CHECK(find_scheme("int8-w8a8").activations == Activations::Int8PerToken);
  CHECK(find_scheme("llm-int8").activations == Activations::Int8PerTokenAndOutliers);
  CHECK(find_scheme("fp8").activations == Activations::None);
  CHECK(find_scheme("fp8-w8a8").activations == Activations::E4m3PerToken);
  CHECK(find_scheme("fp8-block").activations == Activations::E4m3PerGroup);
}

}  // namespace loraproof::quant
