# cmake --install: the program and its engine, the headers, the static libraries and a CMake package (loraproof::<module>).
include(CMakePackageConfigHelpers)
get_property(LORAPROOF_ENGINE_DIR GLOBAL PROPERTY LORAPROOF_ENGINE_DIR)
get_property(_modules GLOBAL PROPERTY LORAPROOF_MODULES)
install(TARGETS loraproof RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS loraproof_engine_program RUNTIME DESTINATION ${LORAPROOF_ENGINE_DIR})
install(TARGETS ${_modules} loraproof_options loraproof_torch EXPORT loraproofTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY lib/loraproof DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(EXPORT loraproofTargets NAMESPACE loraproof:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/loraproof)
configure_package_config_file(cmake/loraproofConfig.cmake.in
  "${CMAKE_CURRENT_BINARY_DIR}/loraproofConfig.cmake"
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/loraproof)
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/loraproofConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/loraproofConfig.cmake"
  "${CMAKE_CURRENT_BINARY_DIR}/loraproofConfigVersion.cmake"
  cmake/FindLibtorch.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/loraproof)
