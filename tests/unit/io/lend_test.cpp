// SPDX-License-Identifier: Apache-2.0
// Pages of a mapped checkpoint: read in, lent, given back. Looks at the process's own page table.
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <optional>
#include <unistd.h>

#include "loraproof/core/error.h"
#include "loraproof/io/checkpoint.h"
#include "loraproof/io/safetensors_writer.h"
#include "support/catch.h"
#include "support/temp_dir.h"

using namespace loraproof;

namespace {

constexpr std::size_t kPages = 16;  // per tensor

const std::size_t page_bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));

// Three tensors of kPages pages each, side by side; nothing is aligned to pages.
std::filesystem::path write_model(const test::TempDir& dir) {
  const std::vector<std::byte> content(kPages * page_bytes, std::byte{7});
  std::vector<io::TensorView> views;
  for (const char* name : {"a", "b", "c"}) {
    views.push_back({.name = name,
                     .dtype = io::DType::U8,
                     .shape = {static_cast<std::int64_t>(content.size())},
                     .bytes = content});
  }
  io::write_safetensors(dir.path() / "model.safetensors", views);
  return dir.path();
}

// How many of the pages that `bytes` touches are mapped in; nothing where the kernel does not tell.
std::optional<std::size_t> mapped_pages(std::span<const std::byte> bytes) {
  const int fd = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  const auto first = reinterpret_cast<std::uintptr_t>(bytes.data()) / page_bytes;
  const auto last = reinterpret_cast<std::uintptr_t>(&bytes.back()) / page_bytes;
  std::size_t present = 0;
  for (std::uintptr_t page = first; page <= last; ++page) {
    std::uint64_t entry = 0;
    const auto offset = static_cast<off_t>(page * sizeof entry);
    if (::pread(fd, &entry, sizeof entry, offset) != sizeof entry) {
      ::close(fd);
      return std::nullopt;
    }
    present += entry >> 63;
  }
  ::close(fd);
  return present;
}

}  // namespace

TEST_CASE("lent pages are mapped in until the last copy of the handle goes") {
  const test::TempDir dir;
  const auto base = io::Checkpoint::open(write_model(dir));
  const io::TensorView& a = *base.find("a");
  const io::TensorView& b = *base.find("b");
  base.read_in(a);
  base.read_in(b);
  const auto before = mapped_pages(a.bytes);
  if (!before) return;  // no page map on this kernel
  CHECK(*before >= kPages);
  std::shared_ptr<const void> loan = base.lend(std::vector{b, a});  // in any order
  std::shared_ptr<const void> copy = loan;
  loan.reset();
  CHECK(mapped_pages(a.bytes) == before);
  copy.reset();
  // The pages at the two ends are shared with the header and with c, the border of a and b is not.
  CHECK(*mapped_pages(a.bytes) <= 1);
  CHECK(*mapped_pages(b.bytes) <= 1);
}

TEST_CASE("a file that was cut short is an error when it is read in, not a crash") {
  const test::TempDir dir;
  const auto base = io::Checkpoint::open(write_model(dir));
  std::filesystem::resize_file(dir.path() / "model.safetensors", 2 * kPages * page_bytes);
  base.read_in(*base.find("a"));
  try {
    base.read_in(*base.find("c"));
    FAIL("read");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::Input);
    CHECK(error.detail().message.find("shorter") != std::string::npos);
    CHECK(error.detail().file == (dir.path() / "model.safetensors").string());
    CHECK(error.detail().found == std::to_string(2 * kPages * page_bytes) + " bytes");
  }
}
