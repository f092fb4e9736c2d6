# SPDX-License-Identifier: MIT
# Runs sha256_tree, PROGRAM, with TREES: it must print what CMake finds there.
# The rest as in cmake/run_example.cmake; EXPECTED is written here.
set(sums "")
foreach(tree IN LISTS TREES)
    file(GLOB_RECURSE paths LIST_DIRECTORIES false "${tree}/*")
    foreach(path IN LISTS paths)
        file(SHA256 "${path}" sum)
        string(APPEND sums "${sum}  ${path}\n")
    endforeach()
endforeach()
file(WRITE "${EXPECTED}" "${sums}")
set(ARGUMENTS ${TREES})
include("${CMAKE_CURRENT_LIST_DIR}/../cmake/run_example.cmake")
