# Wraps libtorch in one target, loraproof::torch: headers as SYSTEM, its global flags kept out, and one
# precompiled ATen header that all torch modules and tests reuse (ATen/ATen.h costs about 9 s a file).
# An existing libtorch wins: CMAKE_PREFIX_PATH or Torch_DIR, then the first Python that can import torch
# (the one on PATH, then the virtual environment that scripts/bootstrap makes).
if(NOT Torch_DIR AND NOT CMAKE_PREFIX_PATH MATCHES "torch")
  foreach(_python IN ITEMS python3 "$ENV{LORAPROOF_VENV}/bin/python3" "$ENV{HOME}/.cache/loraproof/venv/bin/python3")
    execute_process(COMMAND "${_python}" -c "import torch; print(torch.utils.cmake_prefix_path, end='')"
                    OUTPUT_VARIABLE _torch_prefix ERROR_QUIET RESULT_VARIABLE _torch_failed)
    if(_torch_failed STREQUAL "0" AND _torch_prefix)
      list(APPEND CMAKE_PREFIX_PATH "${_torch_prefix}")
      break()
    endif()
  endforeach()
endif()
set(_flags "${CMAKE_CXX_FLAGS}")
find_package(Torch QUIET)
set(CMAKE_CXX_FLAGS "${_flags}")
if(NOT Torch_FOUND)
  message(FATAL_ERROR "libtorch was not found: run scripts/bootstrap, or pass -DCMAKE_PREFIX_PATH=$(python3 -c 'import torch; print(torch.utils.cmake_prefix_path)')")
endif()
if(Torch_VERSION VERSION_LESS 2.11)
  message(FATAL_ERROR "libtorch ${Torch_VERSION} is too old: 2.11 to 2.15 are supported")
endif()
message(STATUS "libtorch ${Torch_VERSION} from ${TORCH_INSTALL_PREFIX}")

# The `torch` target carries -D and -std flags of its own; we take its libraries and SYSTEM headers only.
add_library(loraproof_torch INTERFACE)
add_library(loraproof::torch ALIAS loraproof_torch)
target_include_directories(loraproof_torch SYSTEM INTERFACE "$<BUILD_INTERFACE:${TORCH_INCLUDE_DIRS}>")
target_link_libraries(loraproof_torch INTERFACE "$<BUILD_INTERFACE:${TORCH_LIBRARIES}>")

# libtorch's parallel loops are templates in its headers, and serial in a file compiled without OpenMP. Files with
# loops of their own name themselves (loraproof_parallel_source); the rest is compiled as the precompiled header is.
find_package(OpenMP QUIET COMPONENTS CXX)
if(OpenMP_CXX_FOUND)
  target_link_libraries(loraproof_torch INTERFACE "$<BUILD_INTERFACE:${OpenMP_CXX_LIBRARIES}>")
else()
  message(STATUS "OpenMP was not found: BF16 products without instructions of their own run on one thread")
endif()
function(loraproof_parallel_source file)
  if(OpenMP_CXX_FOUND)
    set_source_files_properties("${file}" PROPERTIES
      COMPILE_OPTIONS "${OpenMP_CXX_FLAGS}" SKIP_PRECOMPILE_HEADERS ON)
  endif()
endfunction()

# Static libraries with PIC unset, so that executables can reuse the same precompiled header.
add_library(loraproof_torch_pch STATIC "${PROJECT_SOURCE_DIR}/cmake/torch_pch.cpp")
target_link_libraries(loraproof_torch_pch PRIVATE loraproof_options loraproof_torch)
if(LORAPROOF_PCH)
  target_precompile_headers(loraproof_torch_pch PRIVATE <ATen/ATen.h>)
endif()

# loraproof_use_torch(<target>): headers, libraries and the shared precompiled header.
function(loraproof_use_torch target)
  target_link_libraries(${target} PUBLIC loraproof_torch)
  if(LORAPROOF_PCH)
    target_compile_options(${target} PRIVATE -Winvalid-pch -Werror=invalid-pch)
    target_precompile_headers(${target} REUSE_FROM loraproof_torch_pch)
  endif()
endfunction()
