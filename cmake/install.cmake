# SPDX-License-Identifier: MIT
# What is installed, and how find_package() and pkg-config find it.
include(CMakePackageConfigHelpers)

set(MULTIPROC_CMAKE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/multiproc")

# -- Files ---------------------------------------------------------------------

set(MULTIPROC_INSTALLED_TARGETS "")
if(MULTIPROC_INSTALL_STATIC)
    list(APPEND MULTIPROC_INSTALLED_TARGETS multiproc_static)
endif()
if(MULTIPROC_INSTALL_SHARED)
    list(APPEND MULTIPROC_INSTALLED_TARGETS multiproc_shared)
endif()
list(APPEND MULTIPROC_INSTALLED_TARGETS multiproc_worker)

# The worker finds the library beside itself, wherever both are moved to.
if(APPLE)
    set(MULTIPROC_ORIGIN "@loader_path")
else()
    set(MULTIPROC_ORIGIN "$ORIGIN")
endif()
file(RELATIVE_PATH MULTIPROC_BIN_TO_LIB
    "/prefix/${CMAKE_INSTALL_BINDIR}" "/prefix/${CMAKE_INSTALL_LIBDIR}")
if(MULTIPROC_BUILD_SHARED)
    set_target_properties(multiproc_worker PROPERTIES
        INSTALL_RPATH "${MULTIPROC_ORIGIN}/${MULTIPROC_BIN_TO_LIB}")
endif()

install(TARGETS ${MULTIPROC_INSTALLED_TARGETS}
    EXPORT multiprocTargets
    RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}"
    LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
    ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")

foreach(header IN LISTS MULTIPROC_HEADERS)
    get_filename_component(folder "${header}" DIRECTORY)
    string(REGEX REPLACE "^include" "${CMAKE_INSTALL_INCLUDEDIR}"
        destination "${folder}")
    install(FILES "${header}" DESTINATION "${destination}")
endforeach()

# -- find_package(multiproc) ---------------------------------------------------

install(EXPORT multiprocTargets
    NAMESPACE multiproc::
    DESTINATION "${MULTIPROC_CMAKE_DIR}")
configure_package_config_file(
    cmake/multiprocConfig.cmake.in
    "${PROJECT_BINARY_DIR}/multiprocConfig.cmake"
    INSTALL_DESTINATION "${MULTIPROC_CMAKE_DIR}"
    NO_SET_AND_CHECK_MACRO)
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(
    "${PROJECT_BINARY_DIR}/multiprocConfigVersion.cmake"
    COMPATIBILITY SameMinorVersion)
install(FILES
    "${PROJECT_BINARY_DIR}/multiprocConfig.cmake"
    "${PROJECT_BINARY_DIR}/multiprocConfigVersion.cmake"
    DESTINATION "${MULTIPROC_CMAKE_DIR}")

# -- pkg-config ----------------------------------------------------------------

# Relative to the .pc file, so that an installed tree can be moved.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    set(MULTIPROC_PC_PREFIX "${CMAKE_INSTALL_PREFIX}")
else()
    file(RELATIVE_PATH MULTIPROC_PC_TO_PREFIX
        "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
    string(REGEX REPLACE "/$" "" MULTIPROC_PC_TO_PREFIX
        "${MULTIPROC_PC_TO_PREFIX}")
    set(MULTIPROC_PC_PREFIX "\${pcfiledir}/${MULTIPROC_PC_TO_PREFIX}")
endif()

# Static consumers need to know that nothing is imported. Where only the static
# library is installed, everybody is one.
set(MULTIPROC_PC_LIBRARIES "")
foreach(library IN LISTS MULTIPROC_PORT_LIBRARIES)
    if(library STREQUAL "Threads::Threads")
        string(APPEND MULTIPROC_PC_LIBRARIES " -pthread")
    else()
        string(APPEND MULTIPROC_PC_LIBRARIES " -l${library}")
    endif()
endforeach()
string(STRIP "${MULTIPROC_PC_LIBRARIES}" MULTIPROC_PC_LIBRARIES)
set(MULTIPROC_PC_LIBS "-L\${libdir} -lmultiproc")
set(MULTIPROC_PC_CFLAGS "-I\${includedir}")
if(NOT MULTIPROC_INSTALL_SHARED)
    string(APPEND MULTIPROC_PC_LIBS " ${MULTIPROC_PC_LIBRARIES}")
    string(APPEND MULTIPROC_PC_CFLAGS " -DMULTIPROC_STATIC")
    set(MULTIPROC_PC_LIBRARIES "")
endif()
configure_file(cmake/multiproc.pc.in "${PROJECT_BINARY_DIR}/multiproc.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/multiproc.pc"
    DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
