// SPDX-License-Identifier: Apache-2.0
// The statistics of llama.cpp's --kl-divergence against numpy in float64.
#include "loraproof/stats/token_divergence.h"

#include <cmath>
#include <filesystem>
#include <vector>

#include "loraproof/core/json.h"
#include "support/catch.h"

namespace loraproof::stats {
namespace {

// As tests/oracles/token_divergence.py makes them.
std::vector<float> numbers(std::uint32_t x, std::size_t count) {
  std::vector<float> values(count);
  for (float& value : values) {
    x = 1664525U * x + 1013904223U;
    value = static_cast<float>(static_cast<double>(x >> 8) / 8388608.0 - 1);
  }
  return values;
}

void check(const Mean& mean, const Json& expected) {
  CHECK(mean.value == Approx(expected.at("value").get<double>()).margin(1e-6));
  CHECK(mean.token_error ==
        Approx(expected.at("token_error").get<double>()).epsilon(1e-4).margin(1e-7));
  CHECK(mean.error == Approx(expected.at("error").get<double>()).epsilon(1e-4).margin(1e-7));
}

void check(const Percentiles& found, const Json& expected) {
  const double values[] = {found.minimum, found.p1,  found.p5,  found.p10,  found.median,
                           found.p90,     found.p95, found.p99, found.p999, found.maximum};
  for (std::size_t i = 0; i < std::size(values); ++i)
    CHECK(values[i] == Approx(expected.at(i).get<double>()).margin(1e-6));
}

}  // namespace

TEST_CASE("token divergences add up as numpy's do") {
  const Json document = read_json_file(std::filesystem::path(LORAPROOF_SOURCE_DIR) / "golden" /
                                       "values" / "token_divergence.json");
  const std::size_t vocabulary = document.at("vocabulary");
  std::vector<std::int64_t> prompt;
  for (std::size_t p = 0; p < document.at("rows").size(); ++p)
    prompt.insert(prompt.end(), document.at("rows")[p].get<std::size_t>(),
                  static_cast<std::int64_t>(p));
  for (const Json& expected : document.at("cases")) {
    std::vector<float> base = numbers(7, prompt.size() * vocabulary);
    for (float& logit : base) logit *= 8;
    std::vector<float> other = numbers(11, base.size());
    const float noise = expected.at("noise");
    for (std::size_t i = 0; i < other.size(); ++i) {
      other[i] *= noise;
      other[i] += base[i];
    }
    std::vector<TokenDivergence> tokens;
    for (std::size_t i = 0; i < prompt.size(); ++i) {
      LogitRow p, q;
      read_logits(std::span(base).subspan(i * vocabulary, vocabulary), p);
      read_logits(std::span(other).subspan(i * vocabulary, vocabulary), q);
      tokens.push_back(token_divergence(p, q, static_cast<std::int32_t>(37 * i % vocabulary)));
      CHECK(token_divergence(p, p, 0).kld == 0);
    }
    const DivergenceSummary found = summarise(tokens, prompt);
    CHECK(found.tokens == std::ssize(prompt));
    CHECK(found.prompts == 5);
    CHECK(found.ppl == Approx(expected.at("ppl").get<double>()).epsilon(1e-6));
    CHECK(found.ppl_base == Approx(expected.at("ppl_base").get<double>()).epsilon(1e-6));
    CHECK(found.correlation == Approx(expected.at("correlation").get<double>()).epsilon(1e-6));
    check(found.log_ratio, expected.at("log_ratio"));
    check(found.kld, expected.at("kld"));
    check(found.kld_percentiles, expected.at("kld_percentiles"));
    check(found.delta_p, expected.at("delta_p"));
    check(found.delta_p_percentiles, expected.at("delta_p_percentiles"));
    CHECK(found.rms_delta_p == Approx(expected.at("rms_delta_p").get<double>()).epsilon(1e-5));
    check(found.same_top, expected.at("same_top"));
  }
}

TEST_CASE("logits without mass and logits that are no numbers") {
  const float none = -INFINITY;
  const std::vector<float> a = {1, none, 2}, b = {1, none, 1}, c = {1, NAN, 1}, d = {none, 0, 0};
  const auto row = [](const std::vector<float>& logits) {
    LogitRow read;
    read_logits(logits, read);
    return read;
  };
  const double p = 1 / (1 + std::exp(-1.0));
  CHECK(token_divergence(row(a), row(b), 0).kld ==
        Approx(p * std::log(2 * p) + (1 - p) * std::log(2 * (1 - p))).epsilon(1e-6));
  CHECK(std::isnan(token_divergence(row(a), row(c), 0).kld));
  CHECK(token_divergence(row(a), row(d), 0).kld == INFINITY);  // no mass where `a` has some
  CHECK(summarise({}, {}).tokens == 0);
}

}  // namespace loraproof::stats
