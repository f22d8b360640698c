// SPDX-License-Identifier: Apache-2.0
// Calls one torch-free and one torch-using module through the installed headers.
#include <iostream>

#include "loraproof/commands/context.h"
#include "loraproof/core/digest.h"

int main() {
  std::cout << loraproof::sha256_of("abc") << " "
            << loraproof::commands::rule_table().rules().size() << " rules\n";
  return loraproof::sha256_of("abc").starts_with("sha256:ba7816bf") ? 0 : 1;
}
