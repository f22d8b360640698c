// SPDX-License-Identifier: Apache-2.0
#include "loraproof/quant/scheme.h"

#include <set>

#include "loraproof/core/error.h"
#include "support/catch.h"

namespace loraproof::quant {

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
