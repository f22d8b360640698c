// SPDX-License-Identifier: Apache-2.0
// The fixture base made four layers deep, so that a store has something to stream.
#pragma once

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "loraproof/io/checkpoint.h"
#include "loraproof/io/safetensors_writer.h"
#include "loraproof/model/decoder_config.h"
#include "support/temp_dir.h"

namespace loraproof::test {

// Bytes in F32; vocabulary 48, hidden 32, FFN 40, 4 heads and 2 of keys and values of 8 each.
inline constexpr std::uint64_t kLayerBytes = 4 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 40 * 32 + 2 * 32);
inline constexpr std::uint64_t kHeadBytes = 4 * 48 * 32;
inline constexpr std::uint64_t kNormBytes = 4 * 32;
inline constexpr std::uint64_t kTotalBytes = 4 * kLayerBytes + 2 * kHeadBytes + kNormBytes;

struct FourLayers {
  TempDir folder;
  model::DecoderConfig config;
  io::Checkpoint base;

  FourLayers() : config(write_config()), base(write_weights()) {}

 private:
  [[nodiscard]] static std::filesystem::path fixture() {
    return LORAPROOF_SOURCE_DIR "/tests/fixtures/adapters/base";
  }
  model::DecoderConfig write_config() {
    std::stringstream text;
    text << std::ifstream(fixture() / "config.json").rdbuf();
    std::string config_text = text.str();
    const std::string two = "\"num_hidden_layers\": 2";
    config_text.replace(config_text.find(two), two.size(), "\"num_hidden_layers\": 4");
    folder.write("config.json", config_text);
    return model::read_decoder_config(folder.path());
  }
  io::Checkpoint write_weights() {
    const auto source = io::Checkpoint::open(fixture());
    std::vector<io::TensorView> views;
    for (const io::TensorView& view : source.views()) {
      views.push_back(view);
      const std::string prefix = "model.layers.";
      if (!view.name.starts_with(prefix)) continue;
      views.push_back(view);
      views.back().name[prefix.size()] = static_cast<char>(view.name[prefix.size()] + 2);
    }
    io::write_safetensors(folder.path() / "model.safetensors", views);
    return io::Checkpoint::open(folder.path());
  }
};

}  // namespace loraproof::test
