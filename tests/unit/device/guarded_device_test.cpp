// SPDX-License-Identifier: Apache-2.0
// The test device is as strict as it says: what CUDA would refuse fails on it, too.
#include "support/guarded_device/guarded_device.h"

#include <ATen/ATen.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <csignal>
#include <functional>
#include <sys/wait.h>
#include <unistd.h>

#include "support/catch.h"

using namespace loraproof;
using test::guarded_device;

namespace {

at::Tensor on_device(const at::Tensor& tensor) { return tensor.to(guarded_device()); }

at::Tensor numbers(at::IntArrayRef shape) {
  return at::arange(c10::multiply_integers(shape), at::kFloat).reshape(shape) - 3.5;
}

// The signal that ends a process that does `what`; 0: it goes on.
int signal_of(const std::function<void()>& what) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGSEGV, SIG_DFL);  // sanitizers have a handler of their own
    what();
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

std::string refusal_of(const std::function<void()>& what) {
  try {
    what();
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  return "";
}

// Some kernels have words of their own for it.
bool is_refused(const std::function<void()>& what) {
  const std::string refusal = refusal_of(what);
  return refusal.find("to be on the same device") != std::string::npos ||
         refusal.find("to be in the same device") != std::string::npos;
}

}  // namespace

TEST_CASE("a raw read or write of device memory ends the process") {
  const at::Tensor there = on_device(numbers({4}));
  volatile float sink = 0;
  CHECK(signal_of([&] { sink = there.const_data_ptr<float>()[1]; }) == SIGSEGV);
  CHECK(signal_of([&] { there.data_ptr<float>()[1] = 1; }) == SIGSEGV);
  const at::Tensor view = there.narrow(0, 1, 2);
  CHECK(signal_of([&] { sink = view.const_data_ptr<float>()[0]; }) == SIGSEGV);
  const at::Tensor here = there.cpu();
  CHECK(signal_of([&] { sink = here.const_data_ptr<float>()[1]; }) == 0);
}

TEST_CASE("tensors have the device's name and type, and none has another index") {
  const at::Tensor there = on_device(numbers({2, 3}));
  CHECK(there.device().str() == "guarded:0");
  CHECK_FALSE(there.device().is_cpu());
  CHECK_FALSE(there.device().is_cuda());
  CHECK(at::zeros({2}, there.options()).device() == guarded_device());
  CHECK(at::arange(3, there.options()).device() == guarded_device());
}

TEST_CASE("operators with a CPU tensor among their arguments are refused as CUDA refuses them") {
  const at::Tensor here = numbers({2, 2});
  const at::Tensor there = on_device(here);
  const at::Tensor index = at::tensor({0, 1}, at::kLong);
  CHECK(is_refused([&] { there + here; }));
  CHECK(is_refused([&] { here + there; }));
  CHECK(is_refused([&] { there.clone().add_(here); }));
  CHECK(is_refused([&] { at::mm(there, here); }));
  CHECK(is_refused([&] { at::linear(there, here); }));
  CHECK(is_refused([&] { at::linear(there, there, here.select(0, 0)); }));
  CHECK(is_refused([&] { at::cat({there, here}); }));
  CHECK(is_refused([&] { at::where(there > 0, there, here); }));
  CHECK(is_refused([&] { there.index_select(0, index); }));
  CHECK(is_refused([&] { there.gather(1, index.unsqueeze(0)); }));
  CHECK(is_refused([&] { there.clone().index_copy_(0, index, there); }));
  CHECK(is_refused([&] { here.clone().index_copy_(0, index, there); }));
  CHECK(is_refused([&] { at::embedding(there, index); }));
  // A scalar is no exception where no TensorIterator would take it, or as the result.
  CHECK(is_refused([&] { there.index_select(0, at::tensor(0, at::kLong)); }));
  CHECK(is_refused([&] { at::scalar_tensor(1.0).add_(there.select(0, 0).select(0, 0)); }));
}

TEST_CASE("what CUDA takes of the CPU is taken: one scalar, indices, copies") {
  const at::Tensor here = numbers({2, 2});
  const at::Tensor there = on_device(here);
  CHECK(at::equal((there * at::scalar_tensor(2.0, at::kFloat)).cpu(), here * 2));
  CHECK(at::equal((at::scalar_tensor(2.0, at::kFloat) - there).cpu(), 2 - here));
  CHECK(at::equal(there.masked_fill(there > 0, at::scalar_tensor(9.0)).cpu(),
                  here.masked_fill(here > 0, 9.0)));
  const at::Tensor index = at::tensor({1, 1, 0}, at::kLong);
  CHECK(at::equal(there.index({index}).cpu(), here.index({index})));
  at::Tensor changed = there.clone(), expected = here.clone();
  const at::Tensor row = at::tensor({1}, at::kLong);
  changed.index_put_({row}, there.narrow(0, 0, 1));
  expected.index_put_({row}, here.narrow(0, 0, 1));
  CHECK(at::equal(changed.cpu(), expected));
  CHECK(at::equal(there.to(at::kCPU, at::kDouble), here.to(at::kDouble)));
  at::Tensor back = at::empty({2, 2}, at::kFloat);
  back.copy_(there);
  CHECK(at::equal(back, here));
  CHECK(there.sum().item<float>() == here.sum().item<float>());
}

TEST_CASE("views share memory, results don't, and results keep their strides") {
  const at::Tensor there = on_device(numbers({4, 6}));
  const at::Tensor views[] = {there.t(),
                              there.view({6, 4}),
                              there.narrow(1, 2, 3),
                              there.unsqueeze(0).transpose(0, 2),
                              there.expand({2, 4, 6}),
                              there.slice(0, 1, 4, 2),
                              there.unfold(1, 2, 2),
                              there.diagonal(),
                              there.detach()};
  for (const at::Tensor& view : views) {
    CHECK(view.is_alias_of(there));
    CHECK(view.device() == guarded_device());
  }
  there.narrow(0, 1, 1).zero_();
  CHECK(at::equal(there.cpu().select(0, 1), at::zeros({6})));
  CHECK(views[0].cpu().select(1, 1).abs().sum().item<float>() == 0);
  const at::Tensor sum = there.t() + 1;
  CHECK_FALSE(sum.is_alias_of(there));
  CHECK(sum.strides() == (numbers({4, 6}).t() + 1).strides());
}

TEST_CASE("operators of a layer give what the CPU gives") {
  const at::Tensor q = numbers({1, 4, 5, 8}) * 0.01, kv = numbers({1, 2, 5, 8}) * 0.02;
  const at::Tensor expected = std::get<0>(at::_scaled_dot_product_attention_math(
      q, kv, kv, {}, 0.0, true, {}, {}, /*enable_gqa=*/true));
  const at::Tensor found = at::scaled_dot_product_attention(
      on_device(q), on_device(kv), on_device(kv), {}, 0.0, true, {}, /*enable_gqa=*/true);
  CHECK(found.device() == guarded_device());
  CHECK(at::allclose(found.cpu(), expected));
  const auto [values, ids] = on_device(numbers({3, 7})).topk(2, -1);
  CHECK(at::equal(ids.cpu(), at::tensor({6, 5}, at::kLong).expand({3, 2})));
  at::Tensor out = at::empty({0}, values.options());
  at::mm_out(out, on_device(numbers({2, 3})), on_device(numbers({3, 2})));
  CHECK(at::equal(out.cpu(), at::mm(numbers({2, 3}), numbers({3, 2}))));
}

TEST_CASE("memory that nobody wrote is not a number") {
  const at::Tensor there = at::empty({3}, at::TensorOptions(at::kFloat).device(guarded_device()));
  CHECK(there.isnan().all().item<bool>());
}

TEST_CASE("a stream that did not wait is found out") {
  const at::Device device = guarded_device();
  const c10::impl::VirtualGuardImpl backend(device.type());
  const c10::Stream own = backend.getStreamFromGlobalPool(device);
  const at::Tensor host = at::empty({4}, at::TensorOptions(at::kFloat).pinned_memory(true));
  CHECK(host.is_pinned());
  host.fill_(3);
  const auto sent = [&] {
    const c10::StreamGuard guard(own);
    at::Tensor there = at::empty({4}, at::TensorOptions(at::kFloat).device(device));
    there.copy_(host, /*non_blocking=*/true);
    return there;
  };
  const at::Tensor unrecorded = sent();
  CHECK(refusal_of([&] { unrecorded + 1; }).find("without record_stream") != std::string::npos);

  const c10::Stream current = backend.getStream(device);
  const at::Tensor too_early = sent();
  too_early.record_stream(current);
  CHECK(refusal_of([&] { too_early + 1; }).find("before it waited") != std::string::npos);

  c10::Event event(device.type());
  event.record(own);
  event.block(current);
  CHECK(at::equal((too_early + 1).cpu(), at::full({4}, 4.0)));
  // An event covers what was started before it, and no more.
  const at::Tensor later = sent();
  later.record_stream(current);
  event.block(current);
  CHECK(refusal_of([&] { later + 1; }).find("before it waited") != std::string::npos);
}
