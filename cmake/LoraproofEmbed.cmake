# loraproof_embed(<target> <file> <symbol> <header>): puts the bytes of <file> into <target> as the
# function <symbol> (qualified, e.g. loraproof::commands::rules_yaml), which <header> declares as
# `std::string_view rules_yaml();`. The source is made anew when <file> changes, at build time.
# Run as a script (cmake -P) this file is the generator itself.
if(CMAKE_SCRIPT_MODE_FILE)
  file(READ "${INPUT}" bytes HEX)
  string(LENGTH "${bytes}" digits)
  math(EXPR size "${digits} / 2")
  string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${bytes}")
  # The terminator keeps the array valid when the file is empty.
  file(WRITE "${OUTPUT}" "// Made from ${NAME} by cmake/LoraproofEmbed.cmake.
#include \"${HEADER}\"

#include <string_view>

namespace {
constexpr char kBytes[] = {
${bytes}'\\0'};
}  // namespace

std::string_view ${SYMBOL}() { return {kBytes, ${size}}; }
")
  return()
endif()

set(LORAPROOF_EMBED_SCRIPT "${CMAKE_CURRENT_LIST_FILE}" CACHE INTERNAL "")

function(loraproof_embed target file symbol header)
  cmake_path(ABSOLUTE_PATH file BASE_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}" OUTPUT_VARIABLE input)
  cmake_path(GET input FILENAME name)
  set(output "${CMAKE_CURRENT_BINARY_DIR}/${target}_${name}.cpp")
  add_custom_command(OUTPUT "${output}"
    COMMAND "${CMAKE_COMMAND}" -D "INPUT=${input}" -D "OUTPUT=${output}" -D "NAME=${name}"
            -D "SYMBOL=${symbol}" -D "HEADER=${header}" -P "${LORAPROOF_EMBED_SCRIPT}"
    DEPENDS "${input}" "${LORAPROOF_EMBED_SCRIPT}"
    COMMENT "Embedding ${name}" VERBATIM)
  target_sources(${target} PRIVATE "${output}")
endfunction()
