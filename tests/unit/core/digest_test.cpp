// SPDX-License-Identifier: Apache-2.0
#include "loraproof/core/digest.h"

#include <string>

#include "support/catch.h"

namespace loraproof {

// FIPS 180-4 example values (NIST, "SHA256.pdf" of the cryptographic examples) and the digest of
// the empty message.
TEST_CASE("SHA-256 gives the values of FIPS 180-4") {
  CHECK(sha256_of("") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_of("abc") ==
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "sha256:248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256_of(std::string(1'000'000, 'a')) ==
        "sha256:cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("a digest does not depend on how the bytes came in") {
  const std::string text(1'000'000, 'a');
  Sha256 parts;
  for (std::size_t begin = 0; begin < text.size(); begin += 4'099) {
    parts.update(std::string_view(text).substr(begin, 4'099));
  }
  parts.update(std::string_view());
  CHECK(parts.finish() ==
        "sha256:cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  const std::byte bytes[] = {std::byte{'a'}, std::byte{'b'}, std::byte{'c'}};
  Sha256 moved = std::move(Sha256().update("a"));
  moved.update(std::span(bytes).subspan(1));
  CHECK(moved.finish() ==
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_of(std::span(bytes)) ==
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace loraproof
