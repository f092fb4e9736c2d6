# SPDX-License-Identifier: MIT
# Cross-linking with `zig cc`, which brings the headers and libraries of other
# systems. Included by zig-<processor>-<system>.cmake, which set ZIG_TARGET.
# The program is -DZIG=..., the environment's ZIG, or the one on the PATH.

list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ZIG)
if(NOT ZIG AND DEFINED ENV{ZIG})
    set(ZIG "$ENV{ZIG}" CACHE FILEPATH "the zig compiler")
endif()
find_program(ZIG zig REQUIRED)

set(CMAKE_C_COMPILER "${ZIG}" cc -target ${ZIG_TARGET})
# CMAKE_AR holds a program alone, not its first argument as well.
set(CMAKE_C_ARCHIVE_CREATE "\"${ZIG}\" ar qc <TARGET> <OBJECTS>")
set(CMAKE_C_ARCHIVE_APPEND "\"${ZIG}\" ar q <TARGET> <OBJECTS>")
set(CMAKE_C_ARCHIVE_FINISH "\"${ZIG}\" ranlib <TARGET>")

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
