# Warnings, sanitizers and the language level, as one INTERFACE target that every module links.
option(LORAPROOF_WERROR "Treat warnings as errors" OFF)
option(LORAPROOF_PCH "Precompile ATen, JSON and Catch2 once for all that use them (leave OFF with ccache)" ON)
set(LORAPROOF_SANITIZE "" CACHE STRING "Sanitizers, e.g. address,undefined")

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_library(loraproof_options INTERFACE)
add_library(loraproof::options ALIAS loraproof_options)
target_compile_features(loraproof_options INTERFACE cxx_std_20)
target_compile_options(loraproof_options INTERFACE
  $<BUILD_INTERFACE:-Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wno-missing-field-initializers>
  # GCC 12 sees overflows in inlined std::string code that are not there (GCC bugs 105651, 105329).
  "$<BUILD_INTERFACE:$<$<BOOL:${LORAPROOF_WERROR}>:-Werror;-Wno-error=restrict;-Wno-error=stringop-overflow;-Wno-error=array-bounds>>")
if(LORAPROOF_SANITIZE)
  target_compile_options(loraproof_options INTERFACE
    $<BUILD_INTERFACE:-fsanitize=${LORAPROOF_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all>)
  target_link_options(loraproof_options INTERFACE $<BUILD_INTERFACE:-fsanitize=${LORAPROOF_SANITIZE}>)
endif()

# loraproof_cheap_to_compile(<target> [<owner of its precompiled header>]): for code that is not worth optimising much, as tests
# and the command line, whose compilation takes longer than all their runs.
function(loraproof_cheap_to_compile target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
  if(LORAPROOF_PCH AND ARGC GREATER 1)
    target_precompile_headers(${target} REUSE_FROM ${ARGV1})
  endif()
endfunction()
