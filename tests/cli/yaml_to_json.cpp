// SPDX-License-Identifier: Apache-2.0
// yaml_to_json FILE: lets a test written in Python read YAML without a package for it.
#include <iostream>

#include "loraproof/core/json.h"
#include "loraproof/core/yaml.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    std::cout << loraproof::read_yaml_file(argv[1]).dump() << '\n';
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
