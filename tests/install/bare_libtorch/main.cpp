// SPDX-License-Identifier: Apache-2.0
#include <ATen/Version.h>
#include <cstdio>

int main() {
  std::puts(at::show_config().c_str());
  return 0;
}
