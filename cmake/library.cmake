# SPDX-License-Identifier: MIT
# How the libraries are made from the source lists.

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

# Common to all: the headers, hidden names, position-independent code (a static
# library may end up in somebody's plugin).
function(multiproc_library_rules target)
    multiproc_house_rules(${target})
    multiproc_see_internals(${target})
    set_target_properties(${target} PROPERTIES
        C_VISIBILITY_PRESET hidden
        POSITION_INDEPENDENT_CODE ON)
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
endfunction()
