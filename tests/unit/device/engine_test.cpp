// SPDX-License-Identifier: Apache-2.0
// The engine on the guarded device against what transformers and PEFT computed on the CPU, as
// tests/gpu does on CUDA.
#include <ATen/ATen.h>

#include "loraproof/engine/device_copy.h"
#include "support/catch.h"
#include "support/engine_oracle.h"
#include "support/guarded_device/guarded_device.h"

using namespace loraproof;

TEST_CASE("sweeps and greedy text on a device equal transformers and PEFT, resident and streamed") {
  for (const test::OracleCase& one : test::oracle_cases()) {
    INFO(test::name_of(one));
    const auto before = test::guarded_counts();
    const test::OracleResult result = test::run_oracle(one, test::guarded_device());
    CHECK(result.worst < 1e-5);
    CHECK(result.same_text);
    // It ran there: two layers, a prefix and eight tokens.
    CHECK(test::guarded_counts().operators > before.operators + 1000);
  }
}

TEST_CASE("weights on their way are used when they have arrived, and not before") {
  const at::Device device = test::guarded_device();
  const auto copy = engine::DeviceCopy::to(device);
  REQUIRE(copy != nullptr);
  CHECK(engine::DeviceCopy::to(at::kCPU) == nullptr);
  const std::int64_t shape[] = {2, 3};
  const at::Tensor host = engine::DeviceCopy::host_buffer(shape, at::kBFloat16);
  CHECK(host.is_pinned());
  host.fill_(1.5);
  const at::Tensor there = copy->send(host);
  CHECK(there.device() == device);
  CHECK_THROWS_AS(there + 1, c10::Error);
  engine::DeviceCopy::wait(copy->sent(), {&there, 1});
  CHECK(at::equal((there + 1).cpu(), at::full({2, 3}, 2.5, at::kBFloat16)));
}
