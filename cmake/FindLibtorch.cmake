# Finds libtorch by its files: a folder with include/ATen/ATen.h and lib/libtorch.so. The CMake package that comes with
# it is not used: that of a CUDA build asks for the CUDA toolkit, which nothing here compiles against. So a CPU build, a CUDA
# build without a toolkit and a bare folder (include/, lib/, no Python) are all the same to us.
#
# Looked at, in this order; the first that holds one wins:
#   Libtorch_ROOT, Torch_DIR        the folder itself, or the one with TorchConfig.cmake
#   CMAKE_PREFIX_PATH               of CMake and of the environment: its folders, or the share/cmake in them
#   python3 on the PATH, $LORAPROOF_VENV, ~/.cache/loraproof/venv     what `import torch` would load
#
# Sets Libtorch_FOUND, Libtorch_VERSION, Libtorch_ROOT and the target Libtorch::Libtorch. libtorch.so itself stays among the needed libraries (--no-as-needed): no symbol of ours is in it, and
# yet it is what loads libtorch_cuda.so where there is one.

set(_libtorch_so "lib/${CMAKE_SHARED_LIBRARY_PREFIX}torch${CMAKE_SHARED_LIBRARY_SUFFIX}")

function(_libtorch_try folder result)
  foreach(candidate IN ITEMS "${folder}" "${folder}/../.." "${folder}/../../.." "${folder}/torch" "${folder}/libtorch")
    if(EXISTS "${candidate}/include/ATen/ATen.h" AND EXISTS "${candidate}/${_libtorch_so}")
      file(REAL_PATH "${candidate}" candidate)
      set(${result} "${candidate}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
endfunction()

set(_libtorch_root "")
set(_libtorch_folders "${Libtorch_ROOT}" "${Torch_ROOT}" "${Torch_DIR}" ${CMAKE_PREFIX_PATH})
string(REPLACE ":" ";" _libtorch_environment "$ENV{CMAKE_PREFIX_PATH}")
list(APPEND _libtorch_folders ${_libtorch_environment})
foreach(_libtorch_folder IN LISTS _libtorch_folders)
  if(NOT _libtorch_root AND _libtorch_folder)
    _libtorch_try("${_libtorch_folder}" _libtorch_root)
  endif()
endforeach()
# Where Python keeps torch, without importing it: that takes seconds.
foreach(_libtorch_python IN ITEMS python3 "$ENV{LORAPROOF_VENV}/bin/python3" "$ENV{HOME}/.cache/loraproof/venv/bin/python3")
  if(NOT _libtorch_root)
    execute_process(
      COMMAND "${_libtorch_python}" -c
              "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0], end='')"
      OUTPUT_VARIABLE _libtorch_folder ERROR_QUIET RESULT_VARIABLE _libtorch_failed)
    if(_libtorch_failed STREQUAL "0" AND _libtorch_folder)
      _libtorch_try("${_libtorch_folder}" _libtorch_root)
    endif()
  endif()
endforeach()

set(Libtorch_VERSION "")
if(_libtorch_root)
  set(Libtorch_ROOT "${_libtorch_root}")
  foreach(_libtorch_header IN ITEMS torch/headeronly/version.h torch/csrc/api/include/torch/version.h)
    if(NOT Libtorch_VERSION AND EXISTS "${Libtorch_ROOT}/include/${_libtorch_header}")
      set(_libtorch_numbers "")
      foreach(_libtorch_part IN ITEMS MAJOR MINOR PATCH)
        file(STRINGS "${Libtorch_ROOT}/include/${_libtorch_header}" _libtorch_line
             REGEX "^#define TORCH_VERSION_${_libtorch_part} +[0-9]+")
        string(REGEX MATCH "[0-9]+$" _libtorch_number "${_libtorch_line}")
        list(APPEND _libtorch_numbers "${_libtorch_number}")
      endforeach()
      if(_libtorch_numbers MATCHES "^[0-9]+;[0-9]+;[0-9]+$")
        string(REPLACE ";" "." Libtorch_VERSION "${_libtorch_numbers}")
      endif()
    endif()
  endforeach()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Libtorch REQUIRED_VARS _libtorch_root Libtorch_VERSION VERSION_VAR Libtorch_VERSION)

if(Libtorch_FOUND)
  set(_libtorch_lib "${Libtorch_ROOT}/lib/${CMAKE_SHARED_LIBRARY_PREFIX}")
  if(NOT TARGET Libtorch::Libtorch)
    add_library(Libtorch::Libtorch INTERFACE IMPORTED)
    set_target_properties(Libtorch::Libtorch PROPERTIES
      INTERFACE_INCLUDE_DIRECTORIES "${Libtorch_ROOT}/include;${Libtorch_ROOT}/include/torch/csrc/api/include")
    if(APPLE)
      set(_libtorch_needed "-Wl,-needed_library,${_libtorch_lib}torch${CMAKE_SHARED_LIBRARY_SUFFIX}")
    else()
      # What libtorch_cuda.so needs in its turn is found when it is loaded, and need not be found to link.
      set(_libtorch_needed
        "-Wl,--push-state,--no-as-needed,${_libtorch_lib}torch${CMAKE_SHARED_LIBRARY_SUFFIX},--pop-state"
        "-Wl,--allow-shlib-undefined")
    endif()
    set_target_properties(Libtorch::Libtorch PROPERTIES INTERFACE_LINK_LIBRARIES
      "${_libtorch_needed};${_libtorch_lib}torch_cpu${CMAKE_SHARED_LIBRARY_SUFFIX};${_libtorch_lib}c10${CMAKE_SHARED_LIBRARY_SUFFIX}")
  endif()
endif()
