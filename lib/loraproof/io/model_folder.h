// SPDX-License-Identifier: Apache-2.0
// From what the user typed for a model or an adapter to a folder on disk. Never asks the network:
// a model that is not in the local Hugging Face cache is an error that says how to download it.
#pragma once

#include <filesystem>
#include <string_view>

namespace loraproof::io {

/// The folder of the local Hugging Face cache, by the rules of huggingface_hub constants.py:
/// $HF_HUB_CACHE, $HUGGINGFACE_HUB_CACHE, $HF_HOME/hub, $XDG_CACHE_HOME/huggingface/hub,
/// ~/.cache/huggingface/hub; the first that is set counts alone. Empty variables count as unset.
/// Empty when not even a home folder is known.
[[nodiscard]] std::filesystem::path hugging_face_cache();

/// `spec` is an existing folder, or `org/name` or `org/name@revision` in the local Hugging Face
/// cache (revision: branch, tag or commit; "main" when absent). Returns a folder; what it holds is
/// not looked at. Throws an input Error that lists where it looked and what to do next.
[[nodiscard]] std::filesystem::path resolve_model_folder(std::string_view spec);

}  // namespace loraproof::io
