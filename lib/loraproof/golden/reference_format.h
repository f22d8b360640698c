// SPDX-License-Identifier: Apache-2.0
// Names that writing and reading a reference share. Changing one changes the file format.
#pragma once

namespace loraproof::golden {

inline constexpr const char* kReferenceSchema = "loraproof.reference/1";
inline constexpr const char* kReferenceArrays = "reference.safetensors";
inline constexpr const char* kReferenceMeta = "reference.json";

}  // namespace loraproof::golden
