# SPDX-License-Identifier: MIT
# Cross-builds for 64-bit Windows with MinGW-w64 (Debian:
# gcc-mingw-w64-x86-64); what was built runs under Wine, so ctest works.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)

set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc)
set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)

# Headers and libraries from the target's folder, programs from ours.
set(CMAKE_FIND_ROOT_PATH /usr/x86_64-w64-mingw32)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

# Programs carry the compiler's own library, so that they start anywhere.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static-libgcc")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "-static-libgcc")

find_program(MULTIPROC_WINE NAMES wine wine64
    PATHS /usr/lib/wine NO_CMAKE_FIND_ROOT_PATH)
if(MULTIPROC_WINE)
    set(CMAKE_CROSSCOMPILING_EMULATOR "${MULTIPROC_WINE}")
endif()
