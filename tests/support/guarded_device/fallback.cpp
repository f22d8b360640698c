// SPDX-License-Identifier: Apache-2.0
#include "support/guarded_device/fallback.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <atomic>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "support/guarded_device/memory.h"

namespace loraproof::test {
namespace {

std::atomic<std::uint64_t> operators{0};

// Operators that CUDA's kernels take without comparing the devices of their arguments first, as
// libtorch's own table says (tests/oracles/operators_without_device_check.py). Their TensorIterator
// then takes one 0-dim CPU tensor.
bool without_device_check(const std::string& name) {
  static const std::set<std::string, std::less<>> names = [] {
    std::set<std::string, std::less<>> read;
    std::ifstream file(LORAPROOF_SOURCE_DIR "/golden/values/operators_without_device_check.txt");
    TORCH_CHECK(file.good(),
                "guarded: golden/values/operators_without_device_check.txt is missing");
    for (std::string line; std::getline(file, line);)
      if (!line.empty() && line.front() != '#') read.insert("aten::" + line);
    return read;
  }();
  return names.contains(name);
}

bool takes_cpu_indices(const std::string& name) {
  return name.starts_with("aten::index.Tensor") || name.starts_with("aten::index_put") ||
         name.starts_with("aten::_index_put_impl_");
}

bool is_written(const c10::Argument& argument) {
  return argument.alias_info() != nullptr && argument.alias_info()->isWrite();
}

class HostCall {
 public:
  explicit HostCall(const c10::OperatorHandle& op)
      : name_(c10::toString(op.schema().operator_name())),
        any_device_(without_device_check(name_)) {}

  c10::IValue to_host(const c10::IValue& value, const c10::Argument& argument) {
    const bool written = is_written(argument);
    if (value.isTensor()) return host_of(value.toTensor(), argument.name(), written);
    if (value.isTensorList()) {
      std::vector<at::Tensor> tensors = value.toTensorVector();
      for (at::Tensor& tensor : tensors) tensor = host_of(tensor, argument.name(), written);
      return c10::List<at::Tensor>(tensors);
    }
    if (value.isOptionalTensorList()) {
      c10::List<std::optional<at::Tensor>> tensors;
      for (const std::optional<at::Tensor>& tensor : value.toOptionalTensorVector()) {
        tensors.push_back(tensor ? std::optional(host_of(*tensor, argument.name(), written))
                                 : std::nullopt);
      }
      return tensors;
    }
    TORCH_CHECK_NOT_IMPLEMENTED(!value.isStorage() && !value.isStream(), name_,
                                " has no kernel for the guarded device");
    if (value.isDevice() && !value.toDevice().is_cpu()) return c10::Device(at::kCPU);
    return value;
  }

  // After all arguments are known.
  void expect_one_device() const {
    for (const std::string& argument : cpu_arguments_) {
      TORCH_CHECK(false, "Expected all tensors to be on the same device, but ", argument, " of ",
                  name_, " is on cpu, different from other tensors on guarded:0");
    }
    TORCH_CHECK(cpu_scalars_ <= 1 || name_.starts_with("aten::where"),
                "Expected all tensors to be on the same device: ", name_,
                " takes one 0-dim CPU tensor, found ", cpu_scalars_);
  }

  // Before the kernel: its reads and writes are ordered after what they depend on.
  void use_memory() const {
    for (const Pair& pair : pairs_)
      if (Block* block = block_of(pair.device)) use_block(block->use, pair.written);
  }

  void bring_back_resized() const {
    for (const Pair& pair : pairs_) {
      if (!pair.written || pair.host.sizes() == pair.device.sizes()) continue;
      pair.device.resize_(pair.host.sizes());
      host_view(pair.device).copy_(pair.host);
    }
  }

  [[nodiscard]] c10::IValue to_device(const c10::IValue& value) const {
    if (value.isTensor()) return device_of(value.toTensor());
    if (value.isTensorList()) {
      std::vector<at::Tensor> tensors = value.toTensorVector();
      for (at::Tensor& tensor : tensors) tensor = device_of(tensor);
      return c10::List<at::Tensor>(tensors);
    }
    return value;
  }

 private:
  struct Pair {
    at::Tensor device, host;
    bool written = false;
  };

  at::Tensor host_of(const at::Tensor& tensor, const std::string& argument, bool written) {
    if (!tensor.defined()) return tensor;
    if (tensor.is_cpu()) {
      note_cpu(tensor, argument, written);
      return tensor;
    }
    TORCH_CHECK(tensor.is_privateuseone(), "guarded: a tensor on ", tensor.device());
    const auto known =
        std::ranges::find_if(pairs_, [&](const Pair& pair) { return pair.device.is_same(tensor); });
    if (known != pairs_.end()) {
      known->written = known->written || written;
      return known->host;
    }
    // An empty result is one that the kernel gives its size.
    const bool resizable = written && tensor.numel() == 0;
    pairs_.push_back(
        {tensor,
         resizable ? at::empty({0}, at::TensorOptions(tensor.scalar_type())).resize_(tensor.sizes())
                   : host_view(tensor),
         written});
    return pairs_.back().host;
  }

  void note_cpu(const at::Tensor& tensor, const std::string& argument, bool written) {
    if (argument == "indices" && takes_cpu_indices(name_)) return;
    if (tensor.dim() == 0 && any_device_ && !written) {
      ++cpu_scalars_;
    } else {
      cpu_arguments_.push_back(argument);
    }
  }

  [[nodiscard]] at::Tensor device_of(const at::Tensor& result) const {
    if (!result.defined() || !result.is_cpu()) return result;
    for (const Pair& pair : pairs_)
      if (pair.host.is_same(result)) return pair.device;
    for (const Pair& pair : pairs_) {
      if (!result.is_alias_of(pair.host)) continue;
      TORCH_CHECK_NOT_IMPLEMENTED(result.scalar_type() == pair.device.scalar_type(), name_,
                                  " has no kernel for the guarded device");
      return pair.device.as_strided(result.sizes(), result.strides(),
                                    pair.device.storage_offset() + result.storage_offset());
    }
    const at::Tensor there = at::empty_strided(result.sizes(), result.strides(),
                                               result.options().device(at::kPrivateUse1, 0));
    if (Block* block = block_of(there)) use_block(block->use, /*writes=*/true);
    host_view(there).copy_(result);
    return there;
  }

  std::string name_;
  bool any_device_;
  std::vector<Pair> pairs_;
  std::vector<std::string> cpu_arguments_;
  int cpu_scalars_ = 0;
};

}  // namespace

void run_on_host(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  const auto& arguments = schema.arguments();
  const std::size_t begin = stack->size() - arguments.size();
  HostCall call(op);
  for (std::size_t i = 0; i < arguments.size(); ++i)
    (*stack)[begin + i] = call.to_host((*stack)[begin + i], arguments[i]);
  call.expect_one_device();
  call.use_memory();
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  call.bring_back_resized();
  for (std::size_t i = stack->size() - schema.returns().size(); i < stack->size(); ++i)
    (*stack)[i] = call.to_device((*stack)[i]);
  ++operators;
}

std::uint64_t operators_run() { return operators; }

}  // namespace loraproof::test
