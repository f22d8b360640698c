// SPDX-License-Identifier: Apache-2.0
// Home of the precompiled header of modules without libtorch (cmake/LoraproofLibrary.cmake).
