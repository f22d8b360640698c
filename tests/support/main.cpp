// SPDX-License-Identifier: Apache-2.0
// The one main of the Catch2 2.x test executables (compiling it takes seconds, so it is done once).
#if !__has_include(<catch2/catch_all.hpp>)
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
#endif
