// SPDX-License-Identifier: Apache-2.0
#include "loraproof/merge/write.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "loraproof/io/element_values.h"
#include "loraproof/io/safetensors_writer.h"
#include "loraproof/merge/base_scheme.h"
#include "loraproof/merge/block_pipe.h"
#include "loraproof/merge/blocks.h"
#include "loraproof/merge/output_file.h"
#include "loraproof/merge/source_digests.h"

namespace loraproof::merge {
namespace {

struct Block {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;  // of the bytes: computed ones, or pages on loan
  MergeSums sums;
  std::span<const std::byte> source;  // what they were made of
  std::shared_ptr<const void> source_owner;
};

constexpr std::size_t kReadAhead = 16;  // blocks

// Gives pages of the source back when the block that was made of them has gone.
class Loan {
 public:
  Loan(const io::SafetensorsFile* file, std::span<const std::byte> bytes)
      : file_(file), bytes_(bytes) {}
  ~Loan() {
    if (file_ != nullptr) file_->file().done_with(bytes_);
  }
  Loan(const Loan&) = delete;
  Loan& operator=(const Loan&) = delete;

 private:
  const io::SafetensorsFile* file_;
  std::span<const std::byte> bytes_;
};

double squared_distance(io::DType dtype, std::span<const std::byte> a,
                        std::span<const std::byte> b) {
  std::vector<double> x(a.size() / io::size_of(dtype)), y(x.size());
  io::widen(dtype, a, x);
  io::widen(dtype, b, y);
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += (x[i] - y[i]) * (x[i] - y[i]);
  return sum;
}

class FileWriter {
 public:
  FileWriter(const PlannedFile& file, const WriteOptions& options, Flusher& flusher,
             Progress& progress)
      : file_(file),
        options_(options),
        progress_(progress),
        out_(options.folder / file.name, flusher),
        places_(cut_into_blocks(file)) {
    if (options.digest_base.contains(file.name)) base_digests_.emplace(*file.source);
  }

  FileResult write() {
    write_header();
    FileResult result{.name = file_.name};
    for (const PlannedTensor& tensor : file_.tensors) {
      if (tensor.is_touched()) result.touched.push_back({tensor.spec.name, tensor.module, {}});
    }
    read_ahead(0);
    BlockPipe<Block> pipe(places_.size(), options_.threads);
    std::size_t at = 0;  // of result.touched
    std::size_t tensor = 0;
    pipe.run(
        [this](std::size_t i) {
          if (i % kReadAhead == 0) read_ahead(i + kReadAhead);
          Block block = make(places_[i]);
          out_.write(offsets_[i], block.bytes);
          return block;
        },
        [&](std::size_t i, Block block) {
          const Place& place = places_[i];
          for (; tensor < place.tensor; ++tensor) at += file_.tensors[tensor].is_touched() ? 1 : 0;
          if (file_.tensors[tensor].is_touched()) result.touched[at].sums += block.sums;
          const auto size = static_cast<std::int64_t>(block.bytes.size());
          if (base_digests_ && is_the_base(file_.tensors[tensor]))
            base_digests_->add(*file_.tensors[tensor].source, block.source, block.source_owner);
          out_.digest(block.bytes, block.owner);
          if (place.change != kUnchanged)
            changes_.drop_before(file_.tensors[place.tensor], place.change);
          dequantised_.drop_before(file_.tensors[place.tensor]);
          progress_.advance(size);
        });
    result.sha256 = out_.finish();
    if (base_digests_) result.base = base_digests_->finish();
    return result;
  }

 private:
  // Not another tensor's values, as a head's that was tied, nor the adapter's.
  [[nodiscard]] bool is_the_base(const PlannedTensor& tensor) const {
    return !tensor.replaced && file_.source->find(tensor.spec.name) == tensor.source;
  }

  // And the places of all blocks after it.
  void write_header() {
    const auto text = std::make_shared<std::string>();
    if (file_.same_header) {
      const std::span<const std::byte> all = file_.source->file().bytes();
      const std::size_t size = header_size();
      text->assign(reinterpret_cast<const char*>(all.data()), size);
    } else {
      std::vector<io::TensorSpec> specs;
      for (const PlannedTensor& tensor : file_.tensors) specs.push_back(tensor.spec);
      *text = io::safetensors_header(specs, file_.source->metadata(), options_.folder / file_.name);
    }
    const auto bytes = std::as_bytes(std::span(*text));
    out_.write(0, bytes);
    out_.digest(bytes, text);
    std::uint64_t at = bytes.size();
    for (const Place& place : places_) {
      offsets_.push_back(at);
      const PlannedTensor& tensor = file_.tensors[place.tensor];
      at += static_cast<std::uint64_t>(place.rows * rows_of(tensor).length) *
            io::size_of(tensor.spec.dtype);
    }
  }

  [[nodiscard]] std::size_t header_size() const {
    std::uint64_t data = 0;
    for (const io::TensorView& view : file_.source->tensors()) data += view.bytes.size();
    return file_.source->file().bytes().size() - static_cast<std::size_t>(data);
  }

  // Tells the kernel what will be read: a page that it lacks would wait behind all that is written.
  void read_ahead(std::size_t from) const {
    const std::size_t end = std::min(from + kReadAhead, places_.size());
    for (std::size_t i = from; i < end; ++i) {
      const PlannedTensor& tensor = file_.tensors[places_[i].tensor];
      if (tensor.replaced) continue;
      const std::size_t row =
          static_cast<std::size_t>(rows_of(tensor).length) * io::size_of(tensor.source->dtype);
      file_.source->file().will_need(
          tensor.source->bytes.subspan(static_cast<std::size_t>(places_[i].first) * row,
                                       static_cast<std::size_t>(places_[i].rows) * row));
    }
  }

  Block make(const Place& place) {
    const PlannedTensor& tensor = file_.tensors[place.tensor];
    const io::TensorView& source = *tensor.source;
    const Rows rows = rows_of(tensor);
    const auto length = static_cast<std::size_t>(rows.length);
    const std::size_t in_row = length * io::size_of(source.dtype);
    const auto bytes = source.bytes.subspan(static_cast<std::size_t>(place.first) * in_row,
                                            static_cast<std::size_t>(place.rows) * in_row);
    const io::SafetensorsFile* file = tensor.replaced ? nullptr : file_.source;
    if (file != nullptr) file->file().read_in(bytes);
    auto loan = std::make_shared<Loan>(file, bytes);
    if (place.change == kUnchanged && tensor.base_scheme == nullptr &&
        source.dtype == tensor.spec.dtype)
      return {bytes, loan, {}, bytes, loan};
    const std::size_t size =
        static_cast<std::size_t>(place.rows) * length * io::size_of(tensor.spec.dtype);
    const std::shared_ptr<std::byte[]> buffer = std::make_shared_for_overwrite<std::byte[]>(size);
    const std::span<std::byte> computed(buffer.get(), size);
    Block block{
        .bytes = computed, .owner = buffer, .source = bytes, .source_owner = std::move(loan)};
    WeightMerge weight{.base = &source, .out = tensor.spec.dtype, .columns = rows.length};
    std::shared_ptr<const MadeChange> made;
    if (place.change != kUnchanged) {
      made = changes_.get(tensor, place.change);
      weight = made->on(source, tensor.changes[place.change], tensor.spec.dtype);
    }
    std::vector<std::byte> dequantised;
    io::TensorView as_trained;
    double scheme2 = 0;
    if (tensor.base_scheme != nullptr) {
      dequantised = dequantised_.rows(tensor, place.first, place.rows);
      scheme2 = squared_distance(source.dtype, bytes, dequantised);
      as_trained = {.name = source.name, .dtype = source.dtype, .bytes = dequantised};
      weight.base = &as_trained;
      weight.base_first = place.first;
    }
    block.sums = merge_rows(weight, place.first, place.rows, computed);
    block.sums.scheme2 = scheme2;
    return block;
  }

  const PlannedFile& file_;
  const WriteOptions& options_;
  Progress& progress_;
  OutputFile out_;
  std::vector<Place> places_;
  std::vector<std::uint64_t> offsets_;  // of their bytes in the file
  MadeChanges changes_;
  DequantisedBase dequantised_;
  std::optional<SourceDigests> base_digests_;
};

}  // namespace

std::vector<FileResult> write_weights(const MergePlan& plan, const WriteOptions& options,
                                      Progress& progress) {
  progress.begin("merge", static_cast<std::int64_t>(plan.output_bytes), "bytes");
  std::vector<FileResult> results;
  Flusher flusher;
  for (const PlannedFile& file : plan.files) {
    if (const auto done = options.done.find(file.name); done != options.done.end()) {
      results.push_back(done->second);
      for (const PlannedTensor& tensor : file.tensors)
        progress.advance(
            static_cast<std::int64_t>(*io::byte_count(tensor.spec.dtype, tensor.spec.shape)));
      continue;
    }
    results.push_back(FileWriter(file, options, flusher, progress).write());
    if (options.finished) options.finished(results.back());
  }
  flusher.finish();
  progress.end();
  return results;
}

}  // namespace loraproof::merge
