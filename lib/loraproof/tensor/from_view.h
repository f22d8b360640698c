// SPDX-License-Identifier: Apache-2.0
// The border between files and libtorch: a view of a mapped file becomes an at::Tensor.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>
#include <initializer_list>
#include <string_view>

#include "loraproof/io/tensor_view.h"

namespace loraproof::tensor {

/// The libtorch type of a file type. Throws an input Error for types libtorch cannot compute with.
[[nodiscard]] at::ScalarType scalar_type_of(io::DType dtype, std::string_view tensor_name);

/// The file type of a libtorch type of weights: BF16, F16, F32 or F64; of others an internal Error.
[[nodiscard]] io::DType dtype_of(at::ScalarType type);

/// A CPU tensor over the view's bytes: no copy where the bytes are aligned for their type (the file
/// must outlive the tensor, and the tensor must not be written to), else a copy.
[[nodiscard]] at::Tensor tensor_of(const io::TensorView& view);

/// Throws an input Error naming `name`, the expected and the found shape unless they are equal.
void expect_shape(const io::TensorView& view, std::initializer_list<std::int64_t> expected,
                  std::string_view file = "");

/// Same for a tensor at a module border; a mismatch is our own mistake (internal Error).
void expect_shape(const at::Tensor& tensor, std::initializer_list<std::int64_t> expected,
                  std::string_view name);

}  // namespace loraproof::tensor
