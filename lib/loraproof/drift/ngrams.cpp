// SPDX-License-Identifier: Apache-2.0
#include "loraproof/drift/ngrams.h"

#include "loraproof/core/cpu.h"
#include "loraproof/drift/tables.h"

namespace loraproof::drift {
namespace {

using CellsFunction = void (*)(const SipKey&, const std::int32_t*, std::size_t, std::uint32_t*);
using HashesFunction = void (*)(const SipKey&, const std::int32_t*, std::size_t, std::uint64_t*);

[[gnu::always_inline]] inline void cells_of(const SipKey& key, const std::int32_t* ids,
                                            std::size_t count, std::uint32_t* cells) {
  for (std::size_t i = 0; i < count; ++i) cells[i] = bigram_cell(key, ids[i], ids[i + 1]);
}
[[gnu::always_inline]] inline void hashes_of(const SipKey& key, const std::int32_t* ids,
                                             std::size_t count, std::uint64_t* hashes) {
  for (std::size_t i = 0; i < count; ++i) hashes[i] = trigram_hash(key, ids + i);
}

void cells_plain(const SipKey& key, const std::int32_t* ids, std::size_t count,
                 std::uint32_t* cells) {
  cells_of(key, ids, count, cells);
}
void hashes_plain(const SipKey& key, const std::int32_t* ids, std::size_t count,
                  std::uint64_t* hashes) {
  hashes_of(key, ids, count, hashes);
}
#if defined(__x86_64__)
LORAPROOF_FOR_AVX2 void cells_avx2(const SipKey& key, const std::int32_t* ids, std::size_t count,
                                   std::uint32_t* cells) {
  cells_of(key, ids, count, cells);
}
LORAPROOF_FOR_AVX2 void hashes_avx2(const SipKey& key, const std::int32_t* ids, std::size_t count,
                                    std::uint64_t* hashes) {
  hashes_of(key, ids, count, hashes);
}
LORAPROOF_FOR_AVX512 void cells_avx512(const SipKey& key, const std::int32_t* ids,
                                       std::size_t count, std::uint32_t* cells) {
  cells_of(key, ids, count, cells);
}
LORAPROOF_FOR_AVX512 void hashes_avx512(const SipKey& key, const std::int32_t* ids,
                                        std::size_t count, std::uint64_t* hashes) {
  hashes_of(key, ids, count, hashes);
}
#endif

CellsFunction best_cells() {
#if defined(__x86_64__)
  if (instruction_set() == InstructionSet::Avx512) return cells_avx512;
  if (instruction_set() == InstructionSet::Avx2) return cells_avx2;
#endif
  return cells_plain;
}
HashesFunction best_hashes() {
#if defined(__x86_64__)
  if (instruction_set() == InstructionSet::Avx512) return hashes_avx512;
  if (instruction_set() == InstructionSet::Avx2) return hashes_avx2;
#endif
  return hashes_plain;
}

}  // namespace

void bigram_cells(const SipKey& key, std::span<const std::int32_t> ids,
                  std::vector<std::uint32_t>& cells) {
  static const CellsFunction function = best_cells();
  cells.resize(ids.size() < 2 ? 0 : ids.size() - 1);
  function(key, ids.data(), cells.size(), cells.data());
}

void trigram_hashes(const SipKey& key, std::span<const std::int32_t> ids,
                    std::vector<std::uint64_t>& hashes) {
  static const HashesFunction function = best_hashes();
  hashes.resize(ids.size() < 3 ? 0 : ids.size() - 2);
  function(key, ids.data(), hashes.size(), hashes.data());
}

}  // namespace loraproof::drift
