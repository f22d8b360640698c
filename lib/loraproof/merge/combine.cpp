// SPDX-License-Identifier: Apache-2.0
#include "loraproof/merge/combine.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <string_view>

#include "loraproof/merge/svd.h"

namespace loraproof::merge {
namespace {

using Tensors = std::vector<std::vector<double>>;  // the same factor of each adapter

void prune_by_magnitude(std::vector<double>& values, double density) {
  const auto kept = static_cast<std::size_t>(density * static_cast<double>(values.size()));
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::nth_element(order, order.begin() + static_cast<std::ptrdiff_t>(kept),
                           [&](std::size_t a, std::size_t b) {
                             const double left = std::fabs(values[a]), right = std::fabs(values[b]);
                             return left != right ? left > right : a < b;
                           });
  for (std::size_t i = kept; i < order.size(); ++i) values[order[i]] = 0;
}

void drop_at_random(std::vector<double>& values, double density, std::mt19937_64& chance) {
  for (double& value : values) {
    const double drawn = static_cast<double>(chance() >> 11) * 0x1p-53;
    value = drawn < density ? value / density : 0;
  }
}

std::vector<double> weighted_sum(const Tensors& tensors, const std::vector<double>& weights) {
  std::vector<double> sum(tensors.front().size());
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += weights[t] * tensors[t][i];
  }
  return sum;
}

double sign_of(double value) { return value > 0 ? 1 : value < 0 ? -1 : 0; }

// The mean of the weighted values that have the sign of the majority, over all adapters.
std::vector<double> elected_mean(const Tensors& tensors, const std::vector<double>& weights,
                                 bool by_frequency) {
  std::vector<double> mean(tensors.front().size());
  for (std::size_t i = 0; i < mean.size(); ++i) {
    double votes = 0;
    for (const auto& tensor : tensors) votes += by_frequency ? sign_of(tensor[i]) : tensor[i];
    const double majority = votes >= 0 ? 1 : -1;
    double sum = 0, count = 0;
    for (std::size_t t = 0; t < tensors.size(); ++t) {
      if (sign_of(tensors[t][i]) != majority) continue;
      sum += weights[t] * tensors[t][i];
      ++count;
    }
    mean[i] = sum / std::max(count, 1.0);
  }
  return mean;
}

std::vector<double> combined(Tensors tensors, const std::vector<double>& weights,
                             const CombineOptions& options, std::uint64_t seed) {
  const bool random =
      options.how == Combination::DareLinear || options.how == Combination::DareTies;
  const bool elects = options.how == Combination::Ties || options.how == Combination::DareTies;
  if (options.how != Combination::Linear && options.density < 1) {
    std::mt19937_64 chance(seed);
    for (auto& tensor : tensors) {
      if (random) {
        drop_at_random(tensor, options.density, chance);
      } else {
        prune_by_magnitude(tensor, options.density);
      }
    }
  }
  return elects ? elected_mean(tensors, weights, options.sign_by_frequency)
                : weighted_sum(tensors, weights);
}

// FNV-1a: std::hash differs between libraries.
std::uint64_t hash_of(std::string_view text, std::uint64_t seed) {
  std::uint64_t hash = 0xCBF29CE484222325U ^ seed;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  return hash;
}

void combine_factors(LowRank& low_rank, const std::vector<Product>& products,
                     const CombineOptions& options, const std::string& name) {
  Tensors left, right;
  std::vector<double> left_weights, right_weights;
  for (const Product& product : products) {
    left.push_back(product.left.values());
    right.push_back(product.right.values());
    const double root = std::sqrt(std::fabs(product.scale));
    const double with_sign = product.scale >= 0 ? root : -root;
    left_weights.push_back(product.left_is_a ? with_sign : root);
    right_weights.push_back(product.left_is_a ? root : with_sign);
  }
  low_rank.add(
      combined(std::move(left), left_weights, options, hash_of(name + "/left", options.seed)),
      combined(std::move(right), right_weights, options, hash_of(name + "/right", options.seed)),
      1.0);
}

void combine_by_svd(LowRank& low_rank, const std::vector<Product>& products, std::int64_t rank) {
  LowRank sum{.rows = low_rank.rows, .columns = low_rank.columns};
  std::int64_t largest = 0;
  for (const Product& product : products) {
    sum.add(product.left, product.right, product.scale);
    largest = std::max(largest, product.left.columns);
  }
  const Svd svd = svd_of_product(sum, rank > 0 ? rank : largest);
  low_rank.add(svd.left, svd.right, 1.0);
}

}  // namespace

bool needs_equal_ranks(Combination how) {
  return how != Combination::Cat && how != Combination::Svd;
}

void combine(LowRank& low_rank, const std::vector<Product>& products, const CombineOptions& options,
             const std::string& name) {
  switch (options.how) {
    case Combination::Cat:
      for (const Product& product : products)
        low_rank.add(product.left, product.right, product.scale);
      return;
    case Combination::Svd: return combine_by_svd(low_rank, products, options.rank);
    default: return combine_factors(low_rank, products, options, name);
  }
}

}  // namespace loraproof::merge
