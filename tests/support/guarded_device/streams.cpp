// SPDX-License-Identifier: Apache-2.0
#include "support/guarded_device/streams.h"

#include <algorithm>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/util/Exception.h>
#include <mutex>
#include <utility>

#include "support/guarded_device/memory.h"

namespace loraproof::test {
namespace {

constexpr c10::DeviceType kType = c10::DeviceType::PrivateUse1;

// Everything that streams have in common.
struct Streams {
  std::mutex mutex;
  std::map<c10::StreamId, Clock> seen;  // by stream: what it has waited for, itself included
  c10::StreamId next = 1;               // 0 is the default stream
};

Streams& streams() {
  static auto* all = new Streams;  // outlives tensors that are freed at exit
  return *all;
}

thread_local c10::StreamId current = 0;

void merge(Clock& into, const Clock& from) {
  for (const auto& [stream, tick] : from) into[stream] = std::max(into[stream], tick);
}

// Under the mutex.
std::uint64_t seen_of(c10::StreamId stream, c10::StreamId other) {
  const Clock& clock = streams().seen[stream];
  const auto found = clock.find(other);
  return found == clock.end() ? 0 : found->second;
}

// The host waited for `clock`: whatever it starts from now on, on any stream, comes after.
void known_to_all(const Clock& clock) {
  for (auto& [stream, seen] : streams().seen) merge(seen, clock);
}

c10::Stream stream_of(c10::StreamId id) {
  return c10::Stream(c10::Stream::UNSAFE, c10::Device(kType, 0), id);
}

struct GuardedGuard final : public c10::impl::DeviceGuardImplInterface {
  [[nodiscard]] c10::DeviceType type() const override { return kType; }
  [[nodiscard]] c10::Device exchangeDevice(c10::Device) const override { return getDevice(); }
  [[nodiscard]] c10::Device getDevice() const override { return {kType, 0}; }
  void setDevice(c10::Device device) const override {
    TORCH_CHECK(device.index() <= 0, "the guarded device has one index");
  }
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  [[nodiscard]] c10::DeviceIndex deviceCount() const noexcept override { return 1; }

  [[nodiscard]] c10::Stream getStream(c10::Device) const override { return stream_of(current); }
  [[nodiscard]] c10::Stream getDefaultStream(c10::Device) const override { return stream_of(0); }
  [[nodiscard]] c10::Stream getStreamFromGlobalPool(c10::Device device, bool) const override {
    return getNewStream(device, 0);
  }
  [[nodiscard]] c10::Stream getNewStream(c10::Device, int) const override {
    const std::lock_guard lock(streams().mutex);
    return stream_of(streams().next++);
  }
  [[nodiscard]] c10::Stream exchangeStream(c10::Stream stream) const override {
    return stream_of(std::exchange(current, stream.id()));
  }
  [[nodiscard]] bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream& stream) const override {
    const std::lock_guard lock(streams().mutex);
    known_to_all(Clock(streams().seen[stream.id()]));
  }
  void synchronizeDevice(c10::DeviceIndex) const override {
    const std::lock_guard lock(streams().mutex);
    Clock all;
    for (const auto& [stream, seen] : streams().seen) merge(all, seen);
    known_to_all(all);
  }

  // An event is the clock of the stream that it was recorded on.
  void record(void** event, const c10::Stream& stream, c10::DeviceIndex,
              c10::EventFlag) const override {
    const std::lock_guard lock(streams().mutex);
    if (*event == nullptr) *event = new Clock;
    *static_cast<Clock*>(*event) = streams().seen[stream.id()];
  }
  void block(void* event, const c10::Stream& stream) const override {
    if (event == nullptr) return;
    const std::lock_guard lock(streams().mutex);
    merge(streams().seen[stream.id()], *static_cast<Clock*>(event));
  }
  [[nodiscard]] bool queryEvent(void*) const override { return true; }
  void synchronizeEvent(void* event) const override {
    if (event == nullptr) return;
    const std::lock_guard lock(streams().mutex);
    known_to_all(*static_cast<Clock*>(event));
  }
  void destroyEvent(void* event, c10::DeviceIndex) const noexcept override {
    delete static_cast<Clock*>(event);
  }
  void recordDataPtrOnStream(const c10::DataPtr& data, const c10::Stream& stream) const override {
    if (Block* block = block_of(data)) record_stream(block->use, stream.id());
  }
};

}  // namespace

c10::StreamId current_stream() { return current; }

void use_block(BlockUse& use, bool writes) {
  const std::lock_guard lock(streams().mutex);
  TORCH_CHECK(use.allocated_on == current || use.recorded.contains(current),
              "guarded: memory of stream ", use.allocated_on, " is used on stream ", current,
              " without record_stream");
  const auto expect_waited = [&](c10::StreamId stream, std::uint64_t tick, const char* what) {
    TORCH_CHECK(stream == current || seen_of(current, stream) >= tick, "guarded: stream ", current,
                " uses memory before it waited for stream ", stream, ", which ", what, " it");
  };
  expect_waited(use.writer, use.written, "wrote");
  if (writes) {
    for (const auto& [stream, tick] : use.read) expect_waited(stream, tick, "reads");
  }
  const std::uint64_t tick = ++streams().seen[current][current];
  if (writes) {
    use.writer = current;
    use.written = tick;
    use.read.clear();
  } else {
    use.read[current] = tick;
  }
}

void record_stream(BlockUse& use, c10::StreamId stream) {
  const std::lock_guard lock(streams().mutex);
  use.recorded.insert(stream);
}

void host_waited() {
  const std::lock_guard lock(streams().mutex);
  known_to_all(Clock(streams().seen[current]));
}

void register_streams() {
  static const c10::impl::DeviceGuardImplRegistrar registered(kType, new GuardedGuard);
}

}  // namespace loraproof::test
