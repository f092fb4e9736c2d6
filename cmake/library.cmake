# SPDX-License-Identifier: MIT
# How the libraries are made from the source lists.
include(CheckCCompilerFlag)
include(CheckCSourceCompiles)
include(CheckLinkerFlag)

if(NOT DEFINED BUILD_SHARED_LIBS)
    set(MULTIPROC_BUILD_STATIC ON)
    set(MULTIPROC_BUILD_SHARED ON)
elseif(BUILD_SHARED_LIBS)
    set(MULTIPROC_BUILD_STATIC OFF)
    set(MULTIPROC_BUILD_SHARED ON)
else()
    set(MULTIPROC_BUILD_STATIC ON)
    set(MULTIPROC_BUILD_SHARED OFF)
endif()

# Tests look inside, which only the static library allows; it is built for
# them (and examples, benchmarks) then, but not installed.
set(MULTIPROC_INSTALL_STATIC ${MULTIPROC_BUILD_STATIC})
set(MULTIPROC_INSTALL_SHARED ${MULTIPROC_BUILD_SHARED})
if(MULTIPROC_TESTS OR MULTIPROC_EXAMPLES OR MULTIPROC_BENCH OR MULTIPROC_FUZZ)
    set(MULTIPROC_BUILD_STATIC ON)
endif()

if(NOT APPLE AND NOT WIN32)
    check_linker_flag(C -Wl,-Bsymbolic-functions MULTIPROC_LINKS_SYMBOLIC)
endif()

# -- Size ----------------------------------------------------------------------
# Who asks for MinSizeRel counts bytes. Release is what the builder says, since
# loading a pickle takes nearly twice as long with all at -Oz.

set(MULTIPROC_SMALL_OPTIONS "")
set(MULTIPROC_SMALL_SHARED_OPTIONS "")
set(MULTIPROC_SMALL_LINK_OPTIONS "")
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    check_c_compiler_flag(-Oz MULTIPROC_COMPILES_OZ)
    if(MULTIPROC_COMPILES_OZ)
        list(APPEND MULTIPROC_SMALL_OPTIONS -Oz)
    endif()
    # What gcc 12 leaves on, though the library grows by it. Without jump
    # threading it suspects more than there is.
    list(APPEND MULTIPROC_SMALL_OPTIONS -fno-caller-saves -fno-code-hoisting
        -fno-forward-propagate -fno-move-loop-invariants
        -fno-optimize-sibling-calls -fno-partial-inlining -fno-shrink-wrap
        -fno-thread-jumps -fno-tree-coalesce-vars -fno-tree-dominator-opts
        -fno-tree-tail-merge -Wno-maybe-uninitialized)
    # Nor are tables aligned for vectors.
    check_c_compiler_flag(-malign-data=abi MULTIPROC_COMPILES_ALIGN_DATA)
    if(MULTIPROC_COMPILES_ALIGN_DATA)
        list(APPEND MULTIPROC_SMALL_OPTIONS -malign-data=abi)
    endif()
endif()
if(CMAKE_C_COMPILER_ID STREQUAL "GNU"
        AND CMAKE_EXECUTABLE_FORMAT STREQUAL "ELF")
    # Nobody unwinds through us: no exception may pass, and debuggers find
    # .debug_frame in a build with -g. Code and constants share pages, and so
    # fill them.
    list(APPEND MULTIPROC_SMALL_OPTIONS
        -fno-asynchronous-unwind-tables -fno-unwind-tables)
    set(MULTIPROC_SMALL_SHARED_OPTIONS -flto)
    set(MULTIPROC_SMALL_LINK_OPTIONS -flto -flto-partition=one)
    check_linker_flag(C -Wl,--no-ld-generated-unwind-info
        MULTIPROC_LINKS_NO_UNWIND)
    if(MULTIPROC_LINKS_NO_UNWIND)
        list(APPEND MULTIPROC_SMALL_LINK_OPTIONS
            -Wl,--no-ld-generated-unwind-info)
    endif()
    check_linker_flag(C -Wl,-z,noseparate-code MULTIPROC_LINKS_NOSEPARATE)
    if(MULTIPROC_LINKS_NOSEPARATE)
        list(APPEND MULTIPROC_SMALL_LINK_OPTIONS -Wl,-z,noseparate-code)
    endif()
    # Relative relocations as a bitmap. Older loaders would not notice them;
    # glibc's says that it doesn't know them, and does from 2.36 on.
    check_c_source_compiles("
        #include <features.h>
        #if !defined(__GLIBC__) || !__GLIBC_PREREQ(2, 36)
        #error older, or another one
        #endif
        int main(void) { return 0; }" MULTIPROC_LOADS_RELR)
    check_linker_flag(C -Wl,-z,pack-relative-relocs MULTIPROC_LINKS_RELR)
    if(MULTIPROC_LOADS_RELR AND MULTIPROC_LINKS_RELR)
        list(APPEND MULTIPROC_SMALL_LINK_OPTIONS -Wl,-z,pack-relative-relocs)
    endif()
endif()

# Common to all: the headers, hidden names, position-independent code (a static
# library may end up in somebody's plugin).
function(multiproc_library_rules target)
    multiproc_house_rules(${target})
    multiproc_see_internals(${target})
    if(MULTIPROC_COVERAGE)
        # Atomic: threads that count at a time would leave less than nothing.
        target_compile_options(${target} PRIVATE
            --coverage -fprofile-update=atomic)
    endif()
    set_target_properties(${target} PROPERTIES
        C_VISIBILITY_PRESET hidden
        POSITION_INDEPENDENT_CODE ON)
    target_compile_options(${target} PRIVATE
        "$<$<CONFIG:MinSizeRel>:${MULTIPROC_SMALL_OPTIONS}>")
    target_include_directories(${target} PUBLIC
        "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>"
        "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
    # MP_LIST() and friends need the preprocessor of the standard.
    target_compile_options(${target} PUBLIC
        "$<$<C_COMPILER_ID:MSVC>:/Zc:preprocessor>")
endfunction()

function(multiproc_add_objects target kind)
    add_library(${target} OBJECT ${ARGN})
    multiproc_library_rules(${target})
    target_compile_definitions(${target} PRIVATE MULTIPROC_${kind})
endfunction()

function(multiproc_add_static target)
    add_library(${target} STATIC ${ARGN})
    multiproc_library_rules(${target})
    target_compile_definitions(${target} PUBLIC MULTIPROC_STATIC)
    target_link_libraries(${target} PUBLIC ${MULTIPROC_PORT_LIBRARIES})
endfunction()

# Its calls into the seam fail on demand. Builds that nobody installs have one
# library, which does, instead of two.
function(multiproc_add_faults target)
    target_sources(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src/os_fault.c")
    target_compile_definitions(${target} PRIVATE MULTIPROC_FAULTS)
endfunction()

# MSVC calls a static library and the import library of a DLL both .lib.
function(multiproc_name_static target)
    set_target_properties(${target} PROPERTIES EXPORT_NAME static)
    if(MSVC)
        set_target_properties(${target} PROPERTIES OUTPUT_NAME multiproc_static)
    else()
        set_target_properties(${target} PROPERTIES OUTPUT_NAME multiproc)
    endif()
endfunction()

function(multiproc_add_shared target)
    add_library(${target} SHARED ${ARGN})
    multiproc_library_rules(${target})
    set_target_properties(${target} PROPERTIES
        OUTPUT_NAME multiproc
        EXPORT_NAME shared
        VERSION ${PROJECT_VERSION}
        SOVERSION 0)
    target_compile_definitions(${target} PRIVATE MULTIPROC_BUILDING)
    target_link_libraries(${target} PRIVATE ${MULTIPROC_PORT_LIBRARIES})
    target_compile_options(${target} PRIVATE
        "$<$<CONFIG:MinSizeRel>:${MULTIPROC_SMALL_SHARED_OPTIONS}>")
    target_link_options(${target} PRIVATE
        "$<$<CONFIG:MinSizeRel>:${MULTIPROC_SMALL_LINK_OPTIONS}>")
    if(MULTIPROC_LINKS_SYMBOLIC)
        # Our own calls of public functions stay inside, as they do on macOS and
        # Windows: nobody can put another in their place, nor do they take the
        # PLT's way.
        target_link_options(${target} PRIVATE -Wl,-Bsymbolic-functions)
    endif()
endfunction()
