# SPDX-License-Identifier: MIT
# FreeBSD from another system: see zig.cmake.
set(CMAKE_SYSTEM_NAME FreeBSD)
set(CMAKE_SYSTEM_PROCESSOR amd64)
set(ZIG_TARGET x86_64-freebsd)
include("${CMAKE_CURRENT_LIST_DIR}/zig.cmake")
