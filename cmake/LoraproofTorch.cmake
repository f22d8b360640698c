# Wraps libtorch in one target, loraproof::torch, and one precompiled ATen header that all torch modules and
# tests reuse (ATen/ATen.h costs about 9 s a file).
# cmake/FindLibtorch.cmake says where it is looked for.
set(LORAPROOF_TORCH_OLDEST 2.11)
set(LORAPROOF_TORCH_NEWEST 2.15)
find_package(Libtorch QUIET)
if(NOT Libtorch_FOUND)
  message(FATAL_ERROR "libtorch was not found: run scripts/bootstrap, or pass -DCMAKE_PREFIX_PATH=<a folder with include/ATen/ATen.h and lib/libtorch.so>")
endif()
if(Libtorch_VERSION VERSION_LESS LORAPROOF_TORCH_OLDEST)
  message(FATAL_ERROR "libtorch ${Libtorch_VERSION} in ${Libtorch_ROOT} is too old: ${LORAPROOF_TORCH_OLDEST} to ${LORAPROOF_TORCH_NEWEST} are supported")
endif()
string(REGEX MATCH "^[0-9]+[.][0-9]+" _torch_series "${Libtorch_VERSION}")
if(_torch_series VERSION_GREATER LORAPROOF_TORCH_NEWEST)
  message(WARNING "libtorch ${Libtorch_VERSION} is newer than the releases this was built with (${LORAPROOF_TORCH_OLDEST} to ${LORAPROOF_TORCH_NEWEST})")
endif()
message(STATUS "libtorch ${Libtorch_VERSION} from ${Libtorch_ROOT}")

add_library(loraproof_torch INTERFACE)
add_library(loraproof::torch ALIAS loraproof_torch)
target_link_libraries(loraproof_torch INTERFACE Libtorch::Libtorch)
# libtorch's folder holds the headers of another fmt: ours come before them, so that one fmt is compiled against and linked.
get_target_property(_fmt_include fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
find_path(LORAPROOF_FMT_INCLUDE fmt/format.h HINTS ${_fmt_include} REQUIRED)
file(MAKE_DIRECTORY "${PROJECT_BINARY_DIR}/fmt_first")
file(CREATE_LINK "${LORAPROOF_FMT_INCLUDE}/fmt" "${PROJECT_BINARY_DIR}/fmt_first/fmt" SYMBOLIC)
target_include_directories(loraproof_torch BEFORE INTERFACE "$<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/fmt_first>")

# libtorch's parallel loops are templates in its headers, and serial in a file compiled without OpenMP. The precompiled header
# is made with the same flags, so every file with libtorch has them.
find_package(OpenMP QUIET COMPONENTS CXX)
if(OpenMP_CXX_FOUND)
  target_compile_options(loraproof_torch INTERFACE "$<BUILD_INTERFACE:${OpenMP_CXX_FLAGS}>")
  target_link_libraries(loraproof_torch INTERFACE "$<BUILD_INTERFACE:${OpenMP_CXX_LIBRARIES}>")
else()
  message(STATUS "OpenMP was not found: BF16 products without instructions of their own run on one thread")
endif()

# Static libraries with PIC unset, so that executables can reuse the same precompiled header.
add_library(loraproof_torch_pch STATIC "${PROJECT_SOURCE_DIR}/cmake/torch_pch.cpp")
target_link_libraries(loraproof_torch_pch PRIVATE loraproof_options loraproof_torch fmt::fmt nlohmann_json::nlohmann_json)
if(LORAPROOF_PCH)
  target_precompile_headers(loraproof_torch_pch PRIVATE <ATen/ATen.h> "${PROJECT_SOURCE_DIR}/cmake/plain_pch.h")
endif()

# loraproof_use_torch(<target>): headers, libraries and the shared precompiled header.
function(loraproof_use_torch target)
  target_link_libraries(${target} PUBLIC loraproof_torch)
  if(LORAPROOF_PCH)
    target_compile_options(${target} PRIVATE -Winvalid-pch -Werror=invalid-pch)
    target_precompile_headers(${target} REUSE_FROM loraproof_torch_pch)
  endif()
endfunction()
