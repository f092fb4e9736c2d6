# SPDX-License-Identifier: MIT
# The reference, made of the comments in the public headers: HTML and manual
# pages below docs/ in the build tree. The target is docs, part of all.
find_package(Doxygen 1.9 REQUIRED)
find_package(Python3 3.7 REQUIRED COMPONENTS Interpreter)

set(MULTIPROC_DOCS_DIR "${PROJECT_BINARY_DIR}/docs")
set(MULTIPROC_DOCS_PAGES "${PROJECT_SOURCE_DIR}/docs/multiproc-worker.1")
set(MULTIPROC_DOCS_TOOLS
    "${PROJECT_SOURCE_DIR}/tools/man.py"
    "${PROJECT_SOURCE_DIR}/tools/man_headers.py"
    "${PROJECT_SOURCE_DIR}/tools/man_roff.py")

# What includes all others, and what differs between compilers, says nothing to
# who uses the library.
set(MULTIPROC_DOCS_SOURCES "${PROJECT_SOURCE_DIR}/docs/reference.md")
foreach(header IN LISTS MULTIPROC_HEADERS)
    if(NOT header MATCHES "/(multiproc|export|atomic_msvc)\\.h$")
        list(APPEND MULTIPROC_DOCS_SOURCES "${PROJECT_SOURCE_DIR}/${header}")
    endif()
endforeach()

# An older Doxygen wants a sentence about every parameter, or about none.
set(MULTIPROC_DOCS_WERROR NO)
set(MULTIPROC_DOCS_CHECK "")
if(MULTIPROC_WERROR)
    set(MULTIPROC_DOCS_CHECK --check)
    if(NOT DOXYGEN_VERSION VERSION_LESS 1.9.4)
        set(MULTIPROC_DOCS_WERROR FAIL_ON_WARNINGS)
    endif()
endif()

# Of the configuring, or of SOURCE_DATE_EPOCH.
string(TIMESTAMP MULTIPROC_DOCS_DATE "%Y-%m-%d" UTC)

list(TRANSFORM MULTIPROC_DOCS_SOURCES REPLACE "(.+)" "\"\\1\""
    OUTPUT_VARIABLE MULTIPROC_DOCS_INPUT)
string(JOIN " \\\n    " MULTIPROC_DOCS_INPUT ${MULTIPROC_DOCS_INPUT})
configure_file(docs/Doxyfile.in "${MULTIPROC_DOCS_DIR}/Doxyfile" @ONLY)

# What a header has lost must not stay.
add_custom_command(OUTPUT "${MULTIPROC_DOCS_DIR}/made"
    COMMAND "${CMAKE_COMMAND}" -E rm -rf
        "${MULTIPROC_DOCS_DIR}/html" "${MULTIPROC_DOCS_DIR}/xml"
        "${MULTIPROC_DOCS_DIR}/man"
    COMMAND Doxygen::doxygen "${MULTIPROC_DOCS_DIR}/Doxyfile"
    COMMAND Python3::Interpreter -B "${PROJECT_SOURCE_DIR}/tools/man.py"
        ${MULTIPROC_DOCS_CHECK}
        --date "${MULTIPROC_DOCS_DATE}"
        --source "multiproc ${PROJECT_VERSION}"
        --brief "${PROJECT_DESCRIPTION}"
        --bindir "${CMAKE_INSTALL_FULL_BINDIR}"
        "${MULTIPROC_DOCS_DIR}/xml" "${MULTIPROC_DOCS_DIR}/man"
        ${MULTIPROC_DOCS_PAGES}
    COMMAND "${CMAKE_COMMAND}" -E touch "${MULTIPROC_DOCS_DIR}/made"
    DEPENDS ${MULTIPROC_DOCS_SOURCES} ${MULTIPROC_DOCS_PAGES}
        ${MULTIPROC_DOCS_TOOLS} "${MULTIPROC_DOCS_DIR}/Doxyfile"
    COMMENT "Making the reference and the manual pages"
    VERBATIM)
add_custom_target(docs ALL DEPENDS "${MULTIPROC_DOCS_DIR}/made")

if(MULTIPROC_INSTALL)
    install(DIRECTORY "${MULTIPROC_DOCS_DIR}/man/"
        DESTINATION "${CMAKE_INSTALL_MANDIR}" COMPONENT docs)
    install(DIRECTORY "${MULTIPROC_DOCS_DIR}/html"
        DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT docs)
endif()
