// SPDX-License-Identifier: Apache-2.0
// Streams and events of the guarded device. Operators run at once, but each is checked to be
// ordered after what it depends on: vector clocks say which work of other streams a stream has
// waited for.
#pragma once

#include <c10/core/Stream.h>
#include <cstdint>
#include <map>
#include <set>

namespace loraproof::test {

using Clock = std::map<c10::StreamId, std::uint64_t>;  // work of each stream that is known done

/// Who used a block last, and who may use it.
struct BlockUse {
  c10::StreamId allocated_on = 0;
  std::set<c10::StreamId> recorded;  ///< by record_stream
  c10::StreamId writer = 0;
  std::uint64_t written = 0;  ///< the writer's clock; 0: nobody wrote
  Clock read;                 ///< by stream, since then
};

/// The calling thread's stream.
[[nodiscard]] c10::StreamId current_stream();

/// Notes that the current stream uses a block. Throws where it was not made to wait for the last
/// writer (or, to write, for the readers), or may find the memory reused.
void use_block(BlockUse& use, bool writes);
void record_stream(BlockUse& use, c10::StreamId stream);
/// The host waited for all work of the current stream.
void host_waited();

/// Registers the guard (current device, streams, events) with libtorch.
void register_streams();

}  // namespace loraproof::test
