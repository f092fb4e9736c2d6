# SPDX-License-Identifier: MIT
# How everything of ours is compiled: the language, the feature macros of each
# system (set here and nowhere else), warnings, sanitizers, coverage.

set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(MULTIPROC_IS_TOP_LEVEL)
    # Programs and DLLs side by side, so that Windows finds the latter.
    set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
    if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
        set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
    endif()
endif()

set(MULTIPROC_COMPILE_OPTIONS "")
set(MULTIPROC_LINK_OPTIONS "")

if(MSVC)
    list(APPEND MULTIPROC_COMPILE_OPTIONS /utf-8 /W4)
    if(MULTIPROC_WERROR)
        list(APPEND MULTIPROC_COMPILE_OPTIONS /WX)
    endif()
else()
    list(APPEND MULTIPROC_COMPILE_OPTIONS
        -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
    if(MINGW)
        # Its isnan() and signbit() mention a conversion that is not made.
        list(APPEND MULTIPROC_COMPILE_OPTIONS -Wno-float-conversion)
    endif()
    if(MULTIPROC_WERROR)
        list(APPEND MULTIPROC_COMPILE_OPTIONS -Werror)
    endif()
endif()

if(MULTIPROC_SANITIZE)
    list(APPEND MULTIPROC_COMPILE_OPTIONS
        -fsanitize=${MULTIPROC_SANITIZE} -fno-omit-frame-pointer)
    list(APPEND MULTIPROC_LINK_OPTIONS -fsanitize=${MULTIPROC_SANITIZE})
    if(MULTIPROC_SANITIZE MATCHES "undefined")
        list(APPEND MULTIPROC_COMPILE_OPTIONS -fno-sanitize-recover=all)
    endif()
endif()
if(MULTIPROC_COVERAGE)
    # Children end by _exit(): see tests/support/coverage.c.
    list(APPEND MULTIPROC_LINK_OPTIONS --coverage -Wl,--wrap=_exit)
endif()

if(WIN32)
    set(MULTIPROC_FEATURE_MACROS _WIN32_WINNT=0x0A00 UNICODE _UNICODE)
    if(MSVC)
        list(APPEND MULTIPROC_FEATURE_MACROS
            _CRT_SECURE_NO_WARNINGS _CRT_NONSTDC_NO_WARNINGS)
    else()
        list(APPEND MULTIPROC_FEATURE_MACROS __USE_MINGW_ANSI_STDIO=1)
    endif()
elseif(APPLE)
    set(MULTIPROC_FEATURE_MACROS _DARWIN_C_SOURCE)
elseif(CMAKE_SYSTEM_NAME STREQUAL "Linux")
    set(MULTIPROC_FEATURE_MACROS _GNU_SOURCE)
else()
    set(MULTIPROC_FEATURE_MACROS "") # the BSDs show everything by default
endif()

# What every target of ours gets: library, tests, examples, benchmarks.
function(multiproc_house_rules target)
    set_target_properties(${target} PROPERTIES
        C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF)
    target_compile_definitions(${target} PRIVATE ${MULTIPROC_FEATURE_MACROS})
    target_compile_options(${target} PRIVATE ${MULTIPROC_COMPILE_OPTIONS})
    target_link_options(${target} PRIVATE ${MULTIPROC_LINK_OPTIONS})
endfunction()

# For what looks behind the public headers: the library itself and its tests.
function(multiproc_see_internals target)
    target_include_directories(${target} PRIVATE
        "${PROJECT_SOURCE_DIR}/src"
        "${PROJECT_SOURCE_DIR}/src/${MULTIPROC_PORT}")
    target_compile_definitions(${target} PRIVATE ${MULTIPROC_PORT_DEFINITIONS})
endfunction()
