# loraproof_library(<module> SRCS a.cpp b.cpp DEPS core io [THIRD fmt::fmt-header-only] [TORCH])
# One static library per module: target loraproof_<module>, alias loraproof::<module>. DEPS are modules
# below this one; THIRD are third-party targets (linked PRIVATE unless listed after PUBLIC_THIRD).
function(loraproof_library module)
  cmake_parse_arguments(ARG "TORCH" "" "SRCS;DEPS;THIRD;PUBLIC_THIRD" ${ARGN})
  add_library(loraproof_${module} STATIC ${ARG_SRCS})
  add_library(loraproof::${module} ALIAS loraproof_${module})
  set_target_properties(loraproof_${module} PROPERTIES EXPORT_NAME ${module})
  target_include_directories(loraproof_${module} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/lib> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(loraproof_${module} PUBLIC loraproof_options ${ARG_PUBLIC_THIRD} PRIVATE ${ARG_THIRD})
  foreach(dep IN LISTS ARG_DEPS)
    target_link_libraries(loraproof_${module} PUBLIC loraproof_${dep})
  endforeach()
  if(ARG_TORCH)
    loraproof_use_torch(loraproof_${module})
  endif()
  set_property(GLOBAL APPEND PROPERTY LORAPROOF_MODULES loraproof_${module})
endfunction()
