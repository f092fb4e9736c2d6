# SPDX-License-Identifier: MIT
# macOS from another system: see zig.cmake.
set(CMAKE_SYSTEM_NAME Darwin)
set(CMAKE_SYSTEM_PROCESSOR arm64)
set(ZIG_TARGET aarch64-macos)

# There is no SDK and no Xcode tool here; zig has what they would bring.
set(CMAKE_OSX_SYSROOT "")
set(CMAKE_INSTALL_NAME_TOOL true)
include("${CMAKE_CURRENT_LIST_DIR}/zig.cmake")
