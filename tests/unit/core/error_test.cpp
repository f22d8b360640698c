// SPDX-License-Identifier: Apache-2.0
#include "loraproof/core/error.h"

#include "loraproof/core/exit_code.h"
#include "support/catch.h"

namespace loraproof {

TEST_CASE("an error is one line of the fields that say something") {
  const ErrorDetail full{.message = "shape does not match",
                         .file = "a.safetensors",
                         .where = "q_proj.lora_A",
                         .expected = "[8, 576]",
                         .found = "[576, 8]",
                         .hint = "is fan_in_fan_out set?"};
  CHECK(std::string(input_error(full).what()) ==
        "a.safetensors: q_proj.lora_A: shape does not match: expected [8, 576], found [576, 8]; is "
        "fan_in_fan_out set?");
  CHECK(std::string(usage_error({.message = "no"}).what()) == "no");
  CHECK(std::string(usage_error({.message = "no", .found = "x"}).what()) == "no: found x");
  CHECK(std::string(usage_error({.message = "no", .expected = "y"}).what()) == "no: expected y");
  CHECK(std::string(usage_error({.message = "no", .file = "f", .hint = "h"}).what()) == "f: no; h");
}

TEST_CASE("with_file fills in a file and never changes one") {
  const Error bare = input_error({.message = "bad"});
  CHECK(std::string(bare.with_file("a").what()) == "a: bad");
  CHECK(bare.detail().file.empty());
  CHECK(bare.with_file("a").with_file("b").detail().file == "a");
  CHECK(usage_error({.message = "x"}).with_file("a").kind() == ErrorKind::Usage);
}

TEST_CASE("the kind of an error decides the exit code") {
  CHECK(static_cast<int>(exit_code_of(usage_error({}).kind())) == 2);
  CHECK(static_cast<int>(exit_code_of(input_error({}).kind())) == 3);
  CHECK(static_cast<int>(exit_code_of(internal_error({}).kind())) == 5);
}

}  // namespace loraproof
