// SPDX-License-Identifier: Apache-2.0
// Owns the precompiled Catch2 (cmake/LoraproofTest.cmake).
