// SPDX-License-Identifier: Apache-2.0
#include "loraproof/core/progress.h"

#include <cstdio>
#include <limits>
#include <thread>
#include <unistd.h>

#include "loraproof/core/file.h"
#include "support/catch.h"
#include "support/temp_dir.h"

namespace loraproof {
namespace {

// What `action` writes to stderr, through a file in place of descriptor 2.
template <typename Action>
std::string stderr_of(Action action) {
  const test::TempDir folder;
  const auto path = folder.path() / "stderr";
  std::fflush(stderr);
  const int saved = ::dup(STDERR_FILENO);
  std::FILE* file = std::fopen(path.c_str(), "w");
  REQUIRE(file != nullptr);
  ::dup2(::fileno(file), STDERR_FILENO);
  action();
  std::fflush(stderr);
  ::dup2(saved, STDERR_FILENO);
  ::close(saved);
  std::fclose(file);
  return read_text_file(path);
}

}  // namespace

TEST_CASE("durations read as people say them, without a sixtieth second") {
  const auto text = [](double seconds) {
    return format_duration(std::chrono::duration<double>(seconds));
  };
  CHECK(text(0) == "0.0s");
  CHECK(text(3.44) == "3.4s");
  CHECK(text(59.94) == "59.9s");
  CHECK(text(59.96) == "1m 00s");
  CHECK(text(80) == "1m 20s");
  CHECK(text(3599.4) == "59m 59s");
  CHECK(text(3599.6) == "1h 00m");
  CHECK(text(7384) == "2h 03m");
}

TEST_CASE("a stage shorter than a second prints nothing") {
  for (const bool is_terminal : {false, true}) {
    CHECK(stderr_of([&] {
            const auto progress = make_stderr_progress(is_terminal);
            progress->begin("sweep", 10, "layers");
            for (int i = 0; i < 10; ++i) progress->advance();
            progress->end();
          }).empty());
  }
}

TEST_CASE("on a terminal a longer stage draws one line and takes it away") {
  const std::string text = stderr_of([] {
    const auto progress = make_stderr_progress(true);
    progress->begin("sweep", 4, "layers");
    std::this_thread::sleep_for(std::chrono::milliseconds(1010));
    progress->advance();
  });
  // The seconds left are three times what the sleep really took.
  CHECK(text.starts_with("\r\x1b[K[######                  ] sweep: 1/4 layers, 25 %, "));
  CHECK(text.find("s left") != std::string::npos);
  CHECK(text.ends_with("\r\x1b[K"));
  CHECK(text.find('\n') == std::string::npos);
}

TEST_CASE("silent progress takes every call and prints nothing") {
  CHECK(stderr_of([] {
          const auto progress = make_silent_progress();
          progress->advance();
          progress->begin("sweep", 0, "layers");
          progress->advance(5);
          progress->end();
          progress->end();
        }).empty());
}

}  // namespace loraproof
