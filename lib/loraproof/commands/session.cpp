// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/session.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <set>

#include "loraproof/text/tokenizer_digest.h"

namespace loraproof::commands {

AdapterSession open_adapter_session(const std::string& adapter, const BaseInput& base) {
  AdapterSession session{.input = open_adapter(adapter)};
  session.landing = adapter::land(session.input.config, session.input.weights, base.modules);
  session.measures = landing_measures(session.landing);
  append(session.measures, zero_effect_measures(session.landing.zero_effect));
  return session;
}

Session open_session(const std::string& base, const std::vector<std::string>& adapters) {
  Session session{.base = open_base(base)};
  std::set<std::string> names;
  for (const std::string& adapter : adapters) {
    session.adapters.push_back(open_adapter_session(adapter, session.base));
    const std::string& name = session.adapters.back().input.name;
    if (!names.insert(name).second) {
      throw usage_error({.message = "two adapters have the same name",
                         .where = "--adapter",
                         .found = name,
                         .hint = "name them: --adapter NAME=DIR"});
    }
  }
  return session;
}

at::Device parse_device(const std::string& name) {
  const bool has_cuda = at::hasCUDA();
  if (name == "cpu") return at::kCPU;
  if (name == "auto") return has_cuda ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
  if (at::isPrivateUse1HooksRegistered() && name == c10::get_privateuse1_backend())
    return {at::kPrivateUse1, 0};
  int index = 0;
  const bool indexed = name.starts_with("cuda:");
  if (indexed) {
    const char* end = name.data() + name.size();
    const auto [rest, code] = std::from_chars(name.data() + 5, end, index);
    if (code != std::errc() || rest != end || index < 0 || index > 127) index = -1;
  }
  if ((name != "cuda" && !indexed) || index < 0) {
    throw usage_error({.message = "unknown device",
                       .where = "--device",
                       .expected = "auto, cpu, cuda or cuda:N",
                       .found = name});
  }
  if (!has_cuda) {
    throw usage_error(
        {.message = "no CUDA device is usable",
         .where = "--device",
         .found = name,
         .hint = "this libtorch sees no GPU; use --device cpu, or build against a CUDA libtorch"});
  }
  return {at::kCUDA, static_cast<at::DeviceIndex>(index)};
}

at::ScalarType scalar_type_of(Compute compute) {
  return compute == Compute::Fp32 ? at::kFloat : at::kBFloat16;
}

report::ToolInfo begin_engine(const EngineOptions& options, at::Device device) {
  if (options.threads > 0) at::set_num_threads(options.threads);
  return {.version = kVersion,
          .libtorch = libtorch_version(),
          .device = device.str(),
          .compute = choice_name(kComputeNames, options.compute),
          .threads = at::get_num_threads()};
}

golden::Identity identity_of(const BaseInput& base, const adapter::AdapterIdentity* adapter,
                             const TextInput& text, const io::DigestByName& base_tensors) {
  golden::Identity identity{.base = base_tensors,
                            .base_config = model::meaning_fields(base.config)};
  if (adapter != nullptr) {
    identity.adapter = adapter->tensors;
    identity.adapter_config = adapter->fields;
  }
  if (text.tokenizer) identity.tokenizer = text::tokenizer_field_digests(text.tokenizer_file);
  if (text.chat_template) identity.chat_template = text.chat_template->source();
  return identity;
}

std::filesystem::path reference_folder(const golden::Suite& suite, const std::string& name,
                                       const std::string& adapter_name) {
  if (!name.empty()) return golden::find_reference(suite.folder, name);
  const auto own = suite.folder / "references" / adapter_name;
  if (!adapter_name.empty() && std::filesystem::exists(own)) return own;
  return golden::find_reference(suite.folder, "");
}

bool gate_fails(const std::vector<report::Check>& checks) {
  return std::ranges::any_of(
      checks, [](const report::Check& check) { return check.status == report::Status::Fail; });
}

}  // namespace loraproof::commands
