// SPDX-License-Identifier: Apache-2.0
// Home of the precompiled ATen header (cmake/LoraproofTorch.cmake).
