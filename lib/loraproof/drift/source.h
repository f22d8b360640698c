// SPDX-License-Identifier: Apache-2.0
// Bytes of a log: a file or stdin, unpacked when they are gzip or zstd (told by their first bytes,
// not by the name). Streams; a packed file that ends early is an Error, not a short log.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace loraproof::drift {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Up to `size` bytes; 0 at the end. Input Error with the path when reading or unpacking fails.
  virtual std::size_t read(char* out, std::size_t size) = 0;
};

/// "-" is stdin. `consumed` (may be null) is advanced by the bytes of the file that were read.
[[nodiscard]] std::unique_ptr<ByteSource> open_source(const std::string& path,
                                                      std::int64_t* consumed = nullptr);

}  // namespace loraproof::drift
