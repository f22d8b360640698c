// SPDX-License-Identifier: Apache-2.0
#include "loraproof/merge/write.h"

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "loraproof/io/safetensors_writer.h"
#include "loraproof/merge/block_pipe.h"
#include "loraproof/merge/output_file.h"

namespace loraproof::merge {
namespace {

constexpr std::int64_t kBlockBytes = std::int64_t{4} << 20;  // of output

constexpr std::size_t kUnchanged = static_cast<std::size_t>(-1);

// A run of whole rows of one tensor, all in one of its changes or in none.
struct Place {
  std::size_t tensor = 0;
  std::size_t change = kUnchanged;
  std::int64_t first = 0;
  std::int64_t rows = 0;
};

struct Block {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;  // of the bytes: computed ones, or pages on loan
  MergeSums sums;
};

// Shape as rows of consecutive elements: those that its changes speak of, if it has any.
struct Rows {
  std::int64_t count = 0;
  std::int64_t length = 0;
};

Rows rows_of(const PlannedTensor& tensor) {
  const std::int64_t elements = tensor.source->numel();
  if (!tensor.changes.empty()) {
    const std::int64_t length = tensor.changes.front().columns;
    return {elements / length, length};
  }
  if (tensor.spec.shape.size() < 2 || elements == 0) return {1, elements};
  return {tensor.spec.shape.front(), elements / tensor.spec.shape.front()};
}

// Makes the factors of a change when its first block comes up, and drops them after the last.
class Changes {
 public:
  std::shared_ptr<const MadeChange> get(const PlannedTensor& tensor, std::size_t change) {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<const MadeChange>& made = made_[{&tensor, change}];
    if (made == nullptr)
      made = std::make_shared<MadeChange>(make_change(tensor.changes[change], *tensor.source));
    return made;
  }
  // Blocks before this one have been taken.
  void drop_before(const PlannedTensor& tensor, std::size_t change) {
    const std::lock_guard lock(mutex_);
    std::erase_if(made_, [&](const auto& item) {
      return item.first.first < &tensor ||
             (item.first.first == &tensor && item.first.second < change);
    });
  }

 private:
  std::mutex mutex_;
  std::map<std::pair<const PlannedTensor*, std::size_t>, std::shared_ptr<const MadeChange>> made_;
};

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

class FileWriter {
 public:
  FileWriter(const PlannedFile& file, const WriteOptions& options, Progress& progress)
      : file_(file), options_(options), progress_(progress), out_(options.folder / file.name) {
    for (std::size_t i = 0; i < file.tensors.size(); ++i) cut(i);
  }

  FileResult write() {
    append_header();
    FileResult result{.name = file_.name};
    for (const PlannedTensor& tensor : file_.tensors) {
      if (tensor.is_touched()) result.touched.push_back({tensor.spec.name, tensor.module, {}});
    }
    BlockPipe<Block> pipe(places_.size(), options_.threads);
    std::size_t at = 0;  // of result.touched
    std::size_t tensor = 0;
    pipe.run([this](std::size_t i) { return make(places_[i]); },
             [&](std::size_t i, Block block) {
               const Place& place = places_[i];
               for (; tensor < place.tensor; ++tensor)
                 at += file_.tensors[tensor].is_touched() ? 1 : 0;
               if (file_.tensors[tensor].is_touched()) result.touched[at].sums += block.sums;
               const auto size = static_cast<std::int64_t>(block.bytes.size());
               out_.append(block.bytes, block.owner);
               if (place.change != kUnchanged)
                 changes_.drop_before(file_.tensors[place.tensor], place.change);
               progress_.advance(size);
             });
    result.sha256 = out_.finish();
    return result;
  }

 private:
  void cut(std::size_t index) {
    const PlannedTensor& tensor = file_.tensors[index];
    const Rows rows = rows_of(tensor);
    std::int64_t at = 0;
    for (std::size_t i = 0; i < tensor.changes.size(); ++i) {
      const Change& change = tensor.changes[i];
      cut(index, kUnchanged, at, change.first_row, rows.length);
      at = change.first_row + change.rows;
      cut(index, i, change.first_row, at, rows.length);
    }
    cut(index, kUnchanged, at, rows.count, rows.length);
  }

  void cut(std::size_t index, std::size_t change, std::int64_t begin, std::int64_t end,
           std::int64_t length) {
    const auto element = static_cast<std::int64_t>(io::size_of(file_.tensors[index].spec.dtype));
    const std::int64_t row_bytes = std::max<std::int64_t>(length * element, 1);
    const std::int64_t step = std::max<std::int64_t>(kBlockBytes / row_bytes / 4 * 4, 4);
    for (std::int64_t first = begin; first < end; first += step)
      places_.push_back({index, change, first, std::min(step, end - first)});
  }

  void append_header() {
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
    out_.append(std::as_bytes(std::span(*text)), text);
  }

  [[nodiscard]] std::size_t header_size() const {
    std::uint64_t data = 0;
    for (const io::TensorView& view : file_.source->tensors()) data += view.bytes.size();
    return file_.source->file().bytes().size() - static_cast<std::size_t>(data);
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
    if (place.change == kUnchanged && source.dtype == tensor.spec.dtype)
      return {bytes, std::move(loan), {}};
    const auto computed = std::make_shared<std::vector<std::byte>>(
        static_cast<std::size_t>(place.rows) * length * io::size_of(tensor.spec.dtype));
    Block block{.bytes = *computed, .owner = computed};
    if (place.change == kUnchanged) {
      block.sums = merge_rows({.base = &source, .out = tensor.spec.dtype, .columns = rows.length},
                              place.first, place.rows, *computed);
      return block;
    }
    const std::shared_ptr<const MadeChange> made = changes_.get(tensor, place.change);
    block.sums = merge_rows(made->on(source, tensor.changes[place.change], tensor.spec.dtype),
                            place.first, place.rows, *computed);
    return block;
  }

  const PlannedFile& file_;
  const WriteOptions& options_;
  Progress& progress_;
  OutputFile out_;
  std::vector<Place> places_;
  Changes changes_;
};

}  // namespace

std::vector<FileResult> write_weights(const MergePlan& plan, const WriteOptions& options,
                                      Progress& progress) {
  progress.begin("merge", static_cast<std::int64_t>(plan.output_bytes), "bytes");
  std::vector<FileResult> results;
  for (const PlannedFile& file : plan.files)
    results.push_back(FileWriter(file, options, progress).write());
  progress.end();
  return results;
}

}  // namespace loraproof::merge
