// SPDX-License-Identifier: Apache-2.0
#include "loraproof/deploy/write_checkpoint.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "loraproof/io/safetensors_writer.h"
#include "loraproof/merge/output_folder.h"
#include "loraproof/tensor/from_view.h"

namespace loraproof::deploy {
namespace {

// The deployed weight in the type of the stored one; nothing where the base's stays.
std::optional<at::Tensor> deployed(const Deployment& deployment, const io::TensorView& view) {
  constexpr std::string_view kSuffix = ".weight";
  if (!view.name.ends_with(kSuffix) || view.shape.size() != 2) return std::nullopt;
  const std::string module = view.name.substr(0, view.name.size() - kSuffix.size());
  if (!deployment.changes(module)) return std::nullopt;
  const at::Tensor stored = tensor::tensor_of(view);
  if (module == model::kEmbedding) {
    const at::Tensor all = at::arange(stored.size(0), at::TensorOptions(at::kLong));
    return deployment.embedding(all, stored).contiguous();
  }
  return deployment.linear(module, {.weight = stored, .bias = {}}).weight.contiguous();
}

std::vector<io::TensorView> in_file_order(const io::SafetensorsFile& file) {
  std::vector<io::TensorView> views(file.tensors().begin(), file.tensors().end());
  std::ranges::sort(views, {}, [](const io::TensorView& view) { return view.bytes.data(); });
  return views;
}

}  // namespace

WrittenCheckpoint write_checkpoint(const Deployment& deployment, const io::Checkpoint& base,
                                   const std::filesystem::path& folder,
                                   const std::filesystem::path& out, Progress& progress) {
  WrittenCheckpoint written;
  merge::MergePlan same;  // nothing of config.json and the index changes
  progress.begin("write", static_cast<std::int64_t>(base.total_bytes()), "bytes");
  for (const io::SafetensorsFile& file : base.files()) {
    const std::string name = file.file().path().filename().string();
    same.files.push_back({.name = name, .source = &file, .tensors = {}});
    const std::vector<io::TensorView> views = in_file_order(file);
    std::vector<io::TensorSpec> specs;
    for (const io::TensorView& view : views) specs.push_back({view.name, view.dtype, view.shape});
    io::SafetensorsWriter writer(out / name, std::move(specs), file.metadata());
    for (const io::TensorView& view : views) {
      const std::optional<at::Tensor> weight = deployed(deployment, view);
      ++(weight ? written.changed : written.kept);
      const auto* data =
          weight ? static_cast<const std::byte*>(weight->const_data_ptr()) : view.bytes.data();
      writer.append({data, view.bytes.size()});
      base.done_with(view);
      progress.advance(static_cast<std::int64_t>(view.bytes.size()));
    }
    writer.finish();
  }
  (void)merge::copy_side_files(folder, same, folder, out);
  merge::write_config(folder, same, std::nullopt, out);
  progress.end();
  return written;
}

}  // namespace loraproof::deploy
