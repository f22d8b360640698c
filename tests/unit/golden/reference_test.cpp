// SPDX-License-Identifier: Apache-2.0
#include "loraproof/golden/reference.h"

#include <ATen/ATen.h>
#include <fstream>

#include "loraproof/core/error.h"
#include "loraproof/core/file.h"
#include "support/catch.h"
#include "support/temp_dir.h"

using namespace loraproof;

namespace {

golden::Reference sample() {
  golden::Reference reference{.suite_name = "s",
                              .suite_digest = "sha256:0",
                              .compute = "bf16",
                              .device = "cpu",
                              .libtorch = "2.13.0",
                              .tool_version = "0",
                              .k = 2};
  reference.stop_ids = {7};
  reference.max_new_tokens = 4;
  reference.prompt_names = {"a", "b"};
  reference.sequences = {{{0, 1}, {2, 1}}, {{1}, {}}};
  at::manual_seed(1);
  reference.distributions = {at::randint(0, 9, {3, 2}, at::kInt), at::randn({3, 2}),
                             at::randn({3})};
  reference.embeddings = {at::randn({2, 4}), at::randn({2, 4}), at::randn({2, 4})};
  reference.answer_ties = {{false, true}, {}};
  reference.expected_ids = {{}, {4, 5}};
  reference.expected_nll = {std::nullopt, 1.5};
  reference.floor = {.kl_prompt = 0.25, .margin = 0.125};
  reference.floor_runs = {{"compute", {.kl_prompt = 0.25}}, {"packing", {.margin = 0.125}}};
  reference.base_figures = golden::BaseFigures{.kl_answer = 2.5, .equal_texts = 1};
  reference.identity = {.base = {{"w", "sha256:1"}},
                        .base_config = {{"rope_theta", "10000"}},
                        .adapter = {{"x", "sha256:2"}},
                        .adapter_config = {{"r", "8"}},
                        .tokenizer = {{"/model/vocab", "sha256:3"}},
                        .chat_template = "{{ x }}\n"};
  return reference;
}

void overwrite(const std::filesystem::path& file, const std::string& from, const std::string& to) {
  std::string text = read_text_file(file);
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
  std::ofstream(file, std::ios::binary) << text;
}

std::string complaint(const std::filesystem::path& folder) {
  try {
    (void)golden::read_reference(folder);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::Input);
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("a reference reads back as it was written") {
  const test::TempDir folder;
  const auto target = folder.path() / "references/x";
  const auto written = sample();
  golden::write_reference(written, target, false);
  const auto read = golden::read_reference(target);
  CHECK(read.prompt_names == written.prompt_names);
  CHECK(read.sequences[0].answer_ids == written.sequences[0].answer_ids);
  CHECK(read.sequences[1].answer_ids.empty());
  CHECK(read.stop_ids == written.stop_ids);
  CHECK(at::equal(read.distributions.topk_ids, written.distributions.topk_ids));
  CHECK(at::equal(read.distributions.tail_logprob, written.distributions.tail_logprob));
  CHECK(at::equal(read.embeddings.answer, written.embeddings.answer));
  CHECK(read.floor.kl_prompt == 0.25);
  CHECK(read.floor.margin == 0.125);
  CHECK(read.floor_runs.at("packing").margin == 0.125);
  CHECK(read.floor_runs.size() == 2);
  CHECK(read.answer_ties == written.answer_ties);
  CHECK(read.expected_ids == written.expected_ids);
  CHECK((read.expected_nll == written.expected_nll));  // c10 prints vectors, but not of optionals
  REQUIRE(read.base_figures);
  CHECK(read.base_figures->kl_answer == 2.5);
  CHECK(read.base_figures->equal_texts == 1);
  CHECK(read.identity.base == written.identity.base);
  CHECK(read.identity.base_config == written.identity.base_config);
  CHECK(read.identity.adapter_config == written.identity.adapter_config);
  CHECK(read.identity.chat_template == written.identity.chat_template);
}

TEST_CASE("an existing reference is kept unless it is to be replaced") {
  const test::TempDir folder;
  const auto target = folder.path() / "r";
  golden::write_reference(sample(), target, false);
  CHECK_THROWS_AS(golden::write_reference(sample(), target, false), Error);
  CHECK_NOTHROW(golden::write_reference(sample(), target, true));
}

TEST_CASE("rows of a sequence: which token a row predicts, and where the answer begins") {
  const golden::Sequence sequence{{4, 5, 6}, {8, 9}};
  CHECK(sequence.rows() == 4);
  CHECK(sequence.first_answer_row() == 2);
  CHECK(sequence.next_token(0) == 5);
  CHECK(sequence.next_token(2) == 8);
  CHECK(sequence.next_token(3) == 9);
}

TEST_CASE("a damaged reference is refused with the array or key") {
  const auto broken = [](auto&& damage) {
    const test::TempDir folder;
    const auto target = folder.path() / "r";
    golden::write_reference(sample(), target, false);
    damage(target);
    return complaint(target);
  };
  const auto holds = [](const std::string& text, const std::string& part) {
    INFO(text);
    CHECK(text.find(part) != std::string::npos);
  };
  holds(broken([](auto& t) {
          overwrite(t / "reference.json", "loraproof.reference/1", "loraproof.reference/9");
        }),
        "/schema");
  holds(broken([](auto& t) { overwrite(t / "reference.json", "\"k\": 2", "\"k\": 3"); }),
        "topk_ids");
  holds(broken([](auto& t) { overwrite(t / "reference.json", "\"b\"", "\"b\", \"c\""); }),
        "prompt_offsets");
  holds(broken([](auto& t) {
          overwrite(t / "reference.json", "\"margin\": 0.125", "\"margin\": \"x\"");
        }),
        "/noise_floor/margin");
  holds(broken([](auto& t) {
          overwrite(t / "reference.safetensors", "topk_logprobs", "topk_logprobz");
        }),
        "topk_logprobs");
  holds(broken([](auto& t) { std::filesystem::resize_file(t / "reference.safetensors", 100); }),
        "reference.safetensors");
  holds(broken([](auto& t) { std::filesystem::remove(t / "reference.safetensors"); }),
        "reference.safetensors");
  // answer_offsets is stored after prompt_offsets [3] i64: make its last entry point past the ids.
  holds(broken([](auto& t) {
          std::string text = read_text_file(t / "reference.safetensors");
          std::uint64_t header = 0;
          std::memcpy(&header, text.data(), 8);
          text[8 + header + 5 * 8] = 9;
          std::ofstream(t / "reference.safetensors", std::ios::binary) << text;
        }),
        "answer_offsets");
}

TEST_CASE("references are found by name, or as the only one") {
  const test::TempDir folder;
  const auto message = [&](const std::string& name) {
    try {
      return golden::find_reference(folder.path(), name).filename().string();
    } catch (const Error& error) {
      return std::string(error.what());
    }
  };
  CHECK(message("").find("--record") != std::string::npos);
  golden::write_reference(sample(), folder.path() / "references/x", false);
  CHECK(message("") == "x");
  CHECK(message("y").find("no reference named 'y'") != std::string::npos);
  golden::write_reference(sample(), folder.path() / "references/y", false);
  CHECK(message("y") == "y");
  CHECK(message("").find("x, y") != std::string::npos);
}
