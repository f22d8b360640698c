// SPDX-License-Identifier: Apache-2.0
#include "loraproof/io/model_folder.h"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <string>
#include <vector>

#include "loraproof/core/error.h"
#include "loraproof/core/file.h"

namespace loraproof::io {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxNamePart = 96;  // huggingface_hub _validators.py
constexpr std::size_t kMaxRefBytes = 4096;

fs::path home_folder() {
  const char* home = std::getenv("HOME");
  return home == nullptr ? fs::path() : fs::path(home);
}

// The value of a variable with a leading "~/" expanded; empty when unset or empty.
fs::path folder_variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return {};
  const std::string_view text = value;
  if (text.starts_with("~/") && !home_folder().empty()) return home_folder() / text.substr(2);
  return text;
}

// One part of a repository name, as huggingface_hub allows it.
bool is_name_part(std::string_view part) {
  if (part.empty() || part.size() > kMaxNamePart) return false;
  const auto is_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  if (!is_word(part.front()) || !is_word(part.back())) return false;
  if (part.find("--") != part.npos || part.find("..") != part.npos) return false;
  return std::all_of(part.begin(), part.end(),
                     [&](char c) { return is_word(c) || c == '-' || c == '.'; });
}

bool is_revision(std::string_view revision) {
  if (revision.empty() || revision.front() == '/' || revision.back() == '/') return false;
  for (const fs::path& part : fs::path(revision)) {
    if (part == "." || part == "..") return false;
  }
  return revision.find('\0') == revision.npos;
}

struct RepositoryName {
  std::string id;         // "org/name" or "name"
  std::string revision;   // "main" when none was given
  std::string directory;  // "models--org--name"
};

// Nothing when `spec` cannot be the name of a repository.
bool parse_repository(std::string_view spec, RepositoryName& result) {
  const std::size_t at = spec.find('@');
  const std::string_view id = spec.substr(0, at);
  result.revision = at == spec.npos ? "main" : spec.substr(at + 1);
  if (!is_revision(result.revision)) return false;
  const std::size_t slash = id.find('/');
  const std::string_view name = slash == id.npos ? id : id.substr(slash + 1);
  if (!is_name_part(name) || (slash != id.npos && !is_name_part(id.substr(0, slash)))) return false;
  result.id = id;
  result.directory = "models--";
  if (slash != id.npos) result.directory += std::string(id.substr(0, slash)) + "--";
  result.directory += name;
  return true;
}

// The commit that refs/<revision> holds, or "" when there is no such ref.
std::string read_ref(const fs::path& path) {
  std::error_code code;
  if (!fs::is_regular_file(path, code)) return "";
  std::string commit = read_text_file(path, kMaxRefBytes);
  commit.erase(commit.find_last_not_of(" \t\r\n") + 1);
  const bool plain = !commit.empty() && std::all_of(commit.begin(), commit.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
  if (!plain) {
    throw input_error({.message = "Hugging Face cache reference is damaged",
                       .file = path.string(),
                       .expected = "a commit hash",
                       .hint = "delete the file and download the model again"});
  }
  return commit;
}

std::string list_snapshots(const fs::path& repository) {
  std::vector<std::string> names;
  std::error_code code;
  for (fs::directory_iterator it(repository / "snapshots", code), end; !code && it != end;
       it.increment(code)) {
    names.push_back(it->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  if (names.size() > 3) names.resize(3);
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

fs::path find_in_cache(const RepositoryName& name) {
  const fs::path cache = hugging_face_cache();
  const fs::path repository = cache / name.directory;
  const std::string revision_flag =
      name.revision == "main" ? "" : fmt::format(" --revision {}", name.revision);
  std::error_code code;
  if (cache.empty() || !fs::is_directory(repository, code)) {
    throw input_error(
        {.id = "model.not_in_cache",
         .message = fmt::format("model \"{}\" not found", name.id),
         .expected = fmt::format("a folder of this name, or {}",
                                 cache.empty() ? "a cache (HOME is not set)" : repository.string()),
         .hint = fmt::format("loraproof downloads nothing: run `hf download {}{}`, or check the "
                             "path",
                             name.id, revision_flag)});
  }
  const std::string commit = read_ref(repository / "refs" / name.revision);
  const fs::path snapshot = repository / "snapshots" / (commit.empty() ? name.revision : commit);
  if (fs::is_directory(snapshot, code)) return snapshot;
  const std::string others = list_snapshots(repository);
  throw input_error(
      {.id = "model.no_revision",
       .message = fmt::format("revision \"{}\" of model \"{}\" is not in the local cache",
                              name.revision, name.id),
       .file = repository.string(),
       .expected =
           commit.empty() ? (repository / "refs" / name.revision).string() : snapshot.string(),
       .found = others.empty() ? "no snapshot" : "snapshots " + others,
       .hint = fmt::format("run `hf download {}{}`, or name a snapshot: {}@<commit>", name.id,
                           revision_flag, name.id)});
}

Error file_instead_of_folder(const fs::path& path) {
  const std::string extension = path.extension().string();
  ErrorDetail detail{.id = "model.is_a_file",
                     .message = "a model or adapter is given as its folder",
                     .file = path.string(),
                     .expected = "a folder",
                     .found = "a file"};
  if (extension == ".gguf") {
    detail.hint =
        "GGUF is not read here: convert with transformers from_pretrained(folder, gguf_file=...) "
        "and save_pretrained";
  } else if (extension == ".bin" || extension == ".pt" || extension == ".pth") {
    detail.hint = "pickle is refused: save the model as safetensors and pass that folder";
  } else {
    const fs::path folder = path.parent_path();
    detail.hint = fmt::format("pass {}", folder.empty() ? "." : folder.string());
  }
  return input_error(std::move(detail));
}

}  // namespace

fs::path hugging_face_cache() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (const fs::path folder = folder_variable(name); !folder.empty()) return folder;
  }
  if (const fs::path folder = folder_variable("HF_HOME"); !folder.empty()) return folder / "hub";
  if (const fs::path folder = folder_variable("XDG_CACHE_HOME"); !folder.empty()) {
    return folder / "huggingface" / "hub";
  }
  const fs::path home = home_folder();
  return home.empty() ? fs::path() : home / ".cache" / "huggingface" / "hub";
}

fs::path resolve_model_folder(std::string_view spec) {
  if (spec.empty()) {
    throw input_error({.message = "the path of a model or adapter is empty",
                       .expected = "a folder, or org/name of the local Hugging Face cache"});
  }
  const fs::path path(spec);
  std::error_code code;
  if (fs::is_directory(path, code)) return path;
  if (fs::exists(path, code)) throw file_instead_of_folder(path);
  RepositoryName name;
  if (parse_repository(spec, name)) return find_in_cache(name);
  throw input_error({.id = "model.no_folder",
                     .message = "no such folder",
                     .file = std::string(spec),
                     .expected = "a folder, or org/name of the local Hugging Face cache",
                     .hint = "check the path"});
}

}  // namespace loraproof::io
