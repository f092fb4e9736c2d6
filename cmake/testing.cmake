# SPDX-License-Identifier: MIT
# How tests and examples become programs that ctest runs.

# Criterion, where it works: not on Windows (no package), not with musl (it is
# linked with glibc), not under TSan (its arena sits at a fixed address). Nor
# where MULTIPROC_NATIVE_TESTS says so, as most presets do: its sandbox ends a
# test before LeakSanitizer can say anything, and now and then does not start.
# The same test files then run on our own small framework in tests/support.
set(MULTIPROC_HAVE_CRITERION OFF)
if(MULTIPROC_TESTS AND NOT MULTIPROC_NATIVE_TESTS AND NOT WIN32
        AND NOT CMAKE_CROSSCOMPILING
        AND NOT MULTIPROC_SANITIZE MATCHES "thread"
        AND NOT CMAKE_C_COMPILER MATCHES "musl")
    find_package(PkgConfig QUIET)
    if(PKG_CONFIG_FOUND)
        pkg_check_modules(CRITERION QUIET IMPORTED_TARGET criterion)
        set(MULTIPROC_HAVE_CRITERION ${CRITERION_FOUND})
    endif()
endif()
if(MULTIPROC_TESTS AND MULTIPROC_HAVE_CRITERION)
    message(STATUS "Tests run on Criterion ${CRITERION_VERSION}")
elseif(MULTIPROC_TESTS)
    message(STATUS "Tests run on our own framework, tests/support")
endif()

# An installed library with instruments in it is of no use to anybody.
if(MULTIPROC_SANITIZE OR MULTIPROC_COVERAGE OR MULTIPROC_TEST_LAUNCHER)
    set(MULTIPROC_INSTRUMENTED ON)
else()
    set(MULTIPROC_INSTRUMENTED OFF)
endif()

# How long one program may take, in seconds; slow instruments get more.
set(MULTIPROC_TEST_TIMEOUT 120)
if(MULTIPROC_INSTRUMENTED OR CMAKE_CROSSCOMPILING)
    set(MULTIPROC_TEST_TIMEOUT 300)
endif()

# What every program finds in its environment.
set(MULTIPROC_TEST_ENVIRONMENT "")
if(MULTIPROC_SANITIZE MATCHES "thread")
    list(APPEND MULTIPROC_TEST_ENVIRONMENT
        "TSAN_OPTIONS=halt_on_error=1 die_after_fork=0")
endif()
if(MULTIPROC_SANITIZE MATCHES "address")
    list(APPEND MULTIPROC_TEST_ENVIRONMENT
        "ASAN_OPTIONS=detect_stack_use_after_return=1 strict_string_checks=1"
        "UBSAN_OPTIONS=print_stacktrace=1")
endif()
if(CMAKE_CROSSCOMPILING AND WIN32)
    list(APPEND MULTIPROC_TEST_ENVIRONMENT WINEDEBUG=-all)
endif()
# Where a start takes twenty times as long, tests repeat less often.
if(MULTIPROC_TEST_LAUNCHER OR CMAKE_CROSSCOMPILING)
    list(APPEND MULTIPROC_TEST_ENVIRONMENT MULTIPROC_TEST_SCALE=100)
endif()

# Examples run once for each start method, which their environment names.
set(MULTIPROC_START_METHOD_VARIABLE MULTIPROC_START_METHOD)
if(WIN32)
    set(MULTIPROC_START_METHODS spawn)
else()
    set(MULTIPROC_START_METHODS spawn fork forkserver)
endif()

# multiproc_register(<test> COMMAND <command...> [LABELS ...] [TIMEOUT <s>]
#                    [ENVIRONMENT ...])
function(multiproc_register test)
    # PARSE_ARGV: an argument may be a list itself.
    cmake_parse_arguments(PARSE_ARGV 1 ARG
        "" "TIMEOUT" "COMMAND;LABELS;ENVIRONMENT")
    if(NOT ARG_TIMEOUT)
        set(ARG_TIMEOUT ${MULTIPROC_TEST_TIMEOUT})
    endif()
    add_test(NAME ${test} COMMAND ${ARG_COMMAND})
    set_tests_properties(${test} PROPERTIES
        TIMEOUT ${ARG_TIMEOUT}
        LABELS "${ARG_LABELS}"
        ENVIRONMENT "${MULTIPROC_TEST_ENVIRONMENT};${ARG_ENVIRONMENT}")
endfunction()

# multiproc_print_under_wine(<target>)
#
# Lines that two threads print stay whole there too.
function(multiproc_print_under_wine target)
    if(MINGW AND CMAKE_CROSSCOMPILING)
        target_sources(${target} PRIVATE
            "${PROJECT_SOURCE_DIR}/tests/support/stdio_wine.c")
    endif()
endfunction()

# multiproc_add_test_support(<source...>)
#
# What every test program contains. Tests ask for MULTIPROC_HAVE_CRITERION.
function(multiproc_add_test_support)
    add_library(multiproc_test_support OBJECT ${ARGN})
    multiproc_house_rules(multiproc_test_support)
    multiproc_see_internals(multiproc_test_support)
    target_include_directories(multiproc_test_support PUBLIC
        "${CMAKE_CURRENT_SOURCE_DIR}/support" "${PROJECT_SOURCE_DIR}/include")
    target_compile_definitions(multiproc_test_support PUBLIC MULTIPROC_STATIC)
    if(NOT WIN32)
        target_link_libraries(multiproc_test_support PUBLIC m)
    endif()
    if(MULTIPROC_COVERAGE)
        target_compile_definitions(multiproc_test_support
            PRIVATE MULTIPROC_COVERAGE)
    endif()
    if(MULTIPROC_HAVE_CRITERION)
        target_compile_definitions(multiproc_test_support
            PUBLIC MULTIPROC_HAVE_CRITERION=1)
        target_link_libraries(multiproc_test_support
            PUBLIC PkgConfig::CRITERION)
    endif()
endfunction()

# multiproc_add_test(<name> [FAULTS] [SOURCES ...] [LABELS ...] [TIMEOUT <s>])
#
# A program from <name>.c and the support library; FAULTS links the library
# whose calls into the seam can be made to fail.
function(multiproc_add_test name)
    cmake_parse_arguments(ARG "FAULTS" "TIMEOUT" "SOURCES;LABELS" ${ARGN})
    add_executable(${name} ${name}.c ${ARG_SOURCES})
    multiproc_house_rules(${name})
    multiproc_print_under_wine(${name})
    multiproc_see_internals(${name})
    if(NOT MSVC)
        # An assertion holds its own text, with every macro in it expanded.
        target_compile_options(${name} PRIVATE -Wno-overlength-strings)
    endif()
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
        # That a test ends where one fails, an optimiser can't know.
        target_compile_options(${name} PRIVATE -Wno-maybe-uninitialized)
    endif()
    if(ARG_FAULTS)
        set(library multiproc_faulty)
    else()
        set(library multiproc_static)
    endif()
    target_link_libraries(${name} PRIVATE multiproc_test_support ${library})
    multiproc_register(${name}
        COMMAND ${MULTIPROC_TEST_LAUNCHER} ${CMAKE_CROSSCOMPILING_EMULATOR}
            $<TARGET_FILE:${name}>
        LABELS test ${ARG_LABELS}
        TIMEOUT ${ARG_TIMEOUT}
        ENVIRONMENT "MULTIPROC_TEST_WORKER=$<TARGET_FILE:multiproc_worker>")
endfunction()

# multiproc_add_example(<name> [SOURCES ...]): the program, without a test
function(multiproc_add_example name)
    cmake_parse_arguments(ARG "" "" "SOURCES" ${ARGN})
    set(target example_${name})
    add_executable(${target} ${name}.c ${ARG_SOURCES})
    set_target_properties(${target} PROPERTIES
        OUTPUT_NAME ${name}
        RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/examples")
    multiproc_house_rules(${target})
    multiproc_print_under_wine(${target})
    target_link_libraries(${target} PRIVATE multiproc_static)
endfunction()

# multiproc_add_consumer(): installs into a prefix of its own below the build
# tree and builds and runs somebody else's project (tests/consumer) from there.
function(multiproc_add_consumer)
    set(libraries "")
    if(MULTIPROC_INSTALL_STATIC)
        list(APPEND libraries static)
    endif()
    if(MULTIPROC_INSTALL_SHARED)
        list(APPEND libraries shared)
    endif()
    # No C++ for musl, nor a MinGW one on every machine.
    set(with_cxx ON)
    if(CMAKE_CROSSCOMPILING OR CMAKE_C_COMPILER MATCHES "musl")
        set(with_cxx OFF)
    endif()
    separate_arguments(flags NATIVE_COMMAND "${CMAKE_EXE_LINKER_FLAGS}")
    list(APPEND flags ${MULTIPROC_LINK_OPTIONS})
    multiproc_register(consumer
        COMMAND "${CMAKE_COMMAND}"
            "-DBUILD_DIR=${PROJECT_BINARY_DIR}"
            "-DCONFIG=$<CONFIG>"
            "-DSOURCE_DIR=${CMAKE_CURRENT_SOURCE_DIR}/consumer"
            "-DWORK_DIR=${CMAKE_CURRENT_BINARY_DIR}/consumer"
            "-DCMAKE_DIR=${MULTIPROC_CMAKE_DIR}"
            "-DGENERATOR=${CMAKE_GENERATOR}"
            "-DTOOLCHAIN=${CMAKE_TOOLCHAIN_FILE}"
            "-DCOMPILER=${CMAKE_C_COMPILER}"
            "-DFLAGS=${flags}"
            "-DLIBRARIES=${libraries}"
            "-DWITH_CXX=${with_cxx}"
            "-DHOST=${CMAKE_SYSTEM_NAME}"
            "-DSUFFIX=${CMAKE_EXECUTABLE_SUFFIX}"
            "-DEMULATOR=${CMAKE_CROSSCOMPILING_EMULATOR}"
            -P "${CMAKE_CURRENT_SOURCE_DIR}/consumer/run.cmake"
        LABELS consumer)
endfunction()

# multiproc_add_abi(): the shared library exports what src/multiproc.exports
# lists. Needs what can read the library, which MSVC does not bring.
function(multiproc_add_abi)
    set(soname "")
    if(WIN32)
        set(format PE)
    elseif(APPLE)
        set(format MACHO)
    else()
        set(format ELF)
        set(soname libmultiproc.so.0)
    endif()
    if(CMAKE_NM AND CMAKE_OBJDUMP)
        multiproc_register(abi
            COMMAND "${CMAKE_COMMAND}"
                "-DLIBRARY=$<TARGET_FILE:multiproc_shared>"
                "-DLIST=${PROJECT_SOURCE_DIR}/src/multiproc.exports"
                "-DFORMAT=${format}"
                "-DNM=${CMAKE_NM}"
                "-DOBJDUMP=${CMAKE_OBJDUMP}"
                "-DSONAME=${soname}"
                -P "${PROJECT_SOURCE_DIR}/cmake/check_exports.cmake"
            LABELS abi)
    endif()
endfunction()
