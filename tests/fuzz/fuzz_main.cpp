// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target without libFuzzer: mutates its seeds, the same way for the same --seed, and
// stops at the first failure with the number of the input. Files as arguments are run as they are.
//
//   safetensors_fuzz [--iterations N] [--seed S] [--dump I FILE] [FILE...]
//
// --dump writes input I to FILE instead of running anything, to look at a failure.
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>

#include "fuzz/fuzz.h"

// Present in sanitizer builds: called before the process dies of a finding.
extern "C" void __sanitizer_set_death_callback(void (*callback)()) __attribute__((weak));

namespace {

using loraproof::fuzz::Corpus;

constexpr std::size_t kMaxInputBytes = 1 << 16;
constexpr std::string_view kNumbers[] = {"0",
                                         "-1",
                                         "1",
                                         "127",
                                         "256",
                                         "65536",
                                         "2147483648",
                                         "9223372036854775807",
                                         "9223372036854775808",
                                         "18446744073709551615",
                                         "1e9",
                                         "0.5",
                                         "null",
                                         "\"\""};

volatile std::uint64_t current_iteration = 0;

void report_iteration() {
  char text[64];
  const int length = std::snprintf(text, sizeof text, "fuzz: failed at iteration %llu\n",
                                   static_cast<unsigned long long>(current_iteration));
  std::fwrite(text, 1, static_cast<std::size_t>(length), stderr);
}

void on_signal(int signal) {
  report_iteration();
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

// The input of one iteration is a function of (seed, iteration) alone, so that any can be made
// again. mt19937_64 and plain remainders: the distributions of <random> differ between libraries.
class Mutator {
 public:
  Mutator(const Corpus& corpus, std::uint64_t seed, std::uint64_t iteration)
      : corpus_(corpus), random_(seed * 0x9E3779B97F4A7C15ULL + iteration) {}

  std::string make() {
    std::string input = corpus_.seeds[below(corpus_.seeds.size())];
    const std::size_t rounds = 1 + below(6);
    for (std::size_t round = 0; round < rounds; ++round) mutate(input);
    if (input.size() > kMaxInputBytes) input.resize(kMaxInputBytes);
    return input;
  }

 private:
  std::size_t below(std::size_t bound) { return bound == 0 ? 0 : random_() % bound; }

  void mutate(std::string& input) {
    const std::size_t at = below(input.size() + 1);
    const std::size_t length = below(std::min<std::size_t>(input.size() - at, 32) + 1);
    switch (below(9)) {
      case 0:
        if (at < input.size()) input[at] = static_cast<char>(input[at] ^ (1 << below(8)));
        return;
      case 1:
        if (at < input.size()) input[at] = static_cast<char>(random_());
        return;
      case 2: input.erase(at, length); return;
      case 3: input.insert(at, std::string(1 + below(16), static_cast<char>(random_()))); return;
      case 4: input.insert(below(input.size() + 1), std::string(input.substr(at, length))); return;
      case 5: input.resize(at); return;
      case 6: replace_number(input, at); return;
      case 7: {
        const std::string& other = corpus_.seeds[below(corpus_.seeds.size())];
        input = input.substr(0, at) + other.substr(below(other.size() + 1));
        return;
      }
      default:
        if (!corpus_.dictionary.empty()) {
          input.replace(at, length, corpus_.dictionary[below(corpus_.dictionary.size())]);
        }
    }
  }

  void replace_number(std::string& input, std::size_t from) {
    constexpr const char* digits = "0123456789";
    const std::size_t begin = input.find_first_of(digits, from);
    if (begin == input.npos) return;
    const std::size_t end = std::min(input.find_first_not_of(digits, begin), input.size());
    input.replace(begin, end - begin, kNumbers[below(std::size(kNumbers))]);
  }

  const Corpus& corpus_;
  std::mt19937_64 random_;
};

void run_one(const std::string& input) {
  // An exact copy on the heap, so that a sanitizer sees a read one byte past the end.
  std::vector<std::uint8_t> bytes(input.begin(), input.end());
  bytes.shrink_to_fit();
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

int run(int argc, char** argv) {
  const Corpus corpus = loraproof::fuzz::corpus();
  std::uint64_t iterations = 20000;
  std::uint64_t seed = 1;
  bool files = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--iterations" && i + 1 < argc) {
      iterations = std::strtoull(argv[++i], nullptr, 10);
    } else if (argument == "--seed" && i + 1 < argc) {
      seed = std::strtoull(argv[++i], nullptr, 10);
    } else if (argument == "--dump" && i + 2 < argc) {
      const std::string input =
          Mutator(corpus, seed, std::strtoull(argv[i + 1], nullptr, 10)).make();
      std::ofstream(argv[i + 2], std::ios::binary) << input;
      return 0;
    } else {
      std::ifstream stream(argv[i], std::ios::binary);
      run_one(std::string(std::istreambuf_iterator<char>(stream), {}));
      files = true;
    }
  }
  if (files) return 0;
  for (const std::string& input : corpus.seeds) run_one(input);
  for (std::uint64_t i = 1; i <= iterations; ++i) {
    current_iteration = i;
    run_one(Mutator(corpus, seed, i).make());
  }
  std::cout << "fuzz: " << iterations << " inputs, seed " << seed << ": nothing found\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  for (const int signal : {SIGABRT, SIGSEGV, SIGFPE, SIGILL, SIGBUS}) {
    std::signal(signal, on_signal);
  }
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(report_iteration);
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "fuzz: uncaught: " << error.what() << '\n';
    report_iteration();
    return 1;
  }
}
