// SPDX-License-Identifier: Apache-2.0
#include "loraproof/io/model_folder.h"

#include <filesystem>
#include <string>

#include "loraproof/core/error.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "unit/io/scoped_environment.h"

using loraproof::Error;
using loraproof::ErrorKind;
using loraproof::io::hugging_face_cache;
using loraproof::io::resolve_model_folder;
using loraproof::test::ScopedEnvironment;
using loraproof::test::TempDir;

namespace fs = std::filesystem;

namespace {

constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";
constexpr const char* kOther = "fedcba9876543210fedcba9876543210fedcba98";

ScopedEnvironment only(const char* name, const fs::path& value) {
  ScopedEnvironment environment(
      {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME"});
  if (name != nullptr) environment.set(name, value.string());
  return environment;
}

std::string refusal(const std::string& spec) {
  try {
    return "accepted as " + resolve_model_folder(spec).string();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::Input);
    return error.what();
  }
}

void check_contains(const std::string& text, const std::string& part) {
  INFO(text);
  CHECK(text.find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("model folder: the cache is where huggingface_hub has it") {
  const TempDir folder;
  const fs::path& root = folder.path();
  auto environment = only("HOME", root / "home");
  CHECK(hugging_face_cache() == root / "home/.cache/huggingface/hub");
  environment.set("XDG_CACHE_HOME", (root / "xdg").string());
  CHECK(hugging_face_cache() == root / "xdg/huggingface/hub");
  environment.set("HF_HOME", (root / "hf").string());
  CHECK(hugging_face_cache() == root / "hf/hub");
  environment.set("HUGGINGFACE_HUB_CACHE", (root / "legacy").string());
  CHECK(hugging_face_cache() == root / "legacy");
  environment.set("HF_HUB_CACHE", "~/hub");
  CHECK(hugging_face_cache() == root / "home/hub");
  environment.set("HF_HUB_CACHE", "");
  CHECK(hugging_face_cache() == root / "legacy");
}

TEST_CASE("model folder: an existing folder is taken as it is") {
  const TempDir folder;
  const auto environment = only(nullptr, "");
  CHECK(resolve_model_folder(folder.path().string()) == folder.path());
  fs::create_directory(folder.path() / "name@odd");
  CHECK(resolve_model_folder((folder.path() / "name@odd").string()) == folder.path() / "name@odd");
}

TEST_CASE("model folder: names are found in the local cache") {
  const TempDir folder;
  const fs::path repository = folder.path() / "models--org--my.model-1";
  folder.write("models--org--my.model-1/refs/main", std::string(kCommit) + "\n");
  folder.write("models--gpt2/refs/main", kCommit);
  for (const fs::path& path :
       {repository / "snapshots" / kCommit, folder.path() / "models--gpt2/snapshots" / kCommit}) {
    fs::create_directories(path);
  }
  const auto environment = only("HF_HUB_CACHE", folder.path());
  CHECK(resolve_model_folder("org/my.model-1") == repository / "snapshots" / kCommit);
  CHECK(resolve_model_folder("org/my.model-1@main") == repository / "snapshots" / kCommit);
  CHECK(resolve_model_folder("gpt2") == folder.path() / "models--gpt2/snapshots" / kCommit);
}

TEST_CASE("model folder: a revision is a ref or a commit") {
  const TempDir folder;
  const fs::path repository = folder.path() / "models--org--m";
  folder.write("models--org--m/refs/main", kCommit);
  folder.write("models--org--m/refs/pr/7", kOther);
  fs::create_directories(repository / "snapshots" / kCommit);
  fs::create_directories(repository / "snapshots" / kOther);
  const auto environment = only("HF_HUB_CACHE", folder.path());
  CHECK(resolve_model_folder("org/m@pr/7") == repository / "snapshots" / kOther);
  CHECK(resolve_model_folder(std::string("org/m@") + kOther) == repository / "snapshots" / kOther);

  check_contains(refusal("org/m@v9"),
                 repository.string() +
                     ": revision \"v9\" of model \"org/m\" is not in the local "
                     "cache: expected " +
                     (repository / "refs/v9").string() + ", found snapshots " + kCommit + ", " +
                     kOther +
                     "; run `hf download org/m --revision v9`, or name a snapshot: org/m@<commit>");

  fs::remove_all(repository / "snapshots");
  check_contains(refusal("org/m"), "expected " + (repository / "snapshots" / kCommit).string() +
                                       ", found no snapshot; run `hf download org/m`");

  for (const char* hostile : {"../../..", "", "/etc\n", "0123 4567"}) {
    folder.write("models--org--m/refs/main", hostile);
    const std::string text = refusal("org/m");
    if (*hostile != '\0') check_contains(text, "Hugging Face cache reference is damaged");
    CHECK(text.find("accepted") == std::string::npos);
  }
}

TEST_CASE("model folder: what is not found says where it was looked for and how to get it") {
  const TempDir folder;
  const auto environment = only("HF_HUB_CACHE", folder.path());
  check_contains(refusal("org/absent"),
                 "model \"org/absent\" not found: expected a folder of this name, or " +
                     (folder.path() / "models--org--absent").string() +
                     "; loraproof downloads nothing: run `hf download org/absent`, or check the");
  check_contains(refusal("org/absent@v1"), "`hf download org/absent --revision v1`");
  check_contains(refusal(""), "the path of a model or adapter is empty");
  for (const char* spec : {"./absent", "/absent/model", "a/b/c", "org/..", "../org", "org/a--b",
                           "-org/name", "org/name@../x", "org/name@", "org/na me"}) {
    INFO(spec);
    check_contains(refusal(spec), std::string(spec) +
                                      ": no such folder: expected a folder, or "
                                      "org/name of the local Hugging Face cache; check the path");
  }
}

TEST_CASE("model folder: without a home there is no cache, and the message says so") {
  const auto environment = only(nullptr, "");
  CHECK(hugging_face_cache().empty());
  check_contains(refusal("org/absent"), "or a cache (HOME is not set)");
}

TEST_CASE("model folder: a file instead of a folder is refused with the folder to pass") {
  const TempDir folder;
  const auto environment = only(nullptr, "");
  const auto file = folder.write("model.safetensors", "x");
  check_contains(refusal(file.string()),
                 file.string() +
                     ": a model or adapter is given as its folder: expected a folder, "
                     "found a file; pass " +
                     folder.path().string());
  check_contains(refusal(folder.write("model.gguf", "x").string()),
                 "GGUF is not read here: convert");
  check_contains(refusal(folder.write("adapter_model.bin", "x").string()),
                 "pickle is refused: save the model as safetensors");
}
