# SPDX-License-Identifier: MIT
# Runs PROGRAM with ARGUMENTS (behind LAUNCHER, if any): its exit code must be
# CODE (0 if not given), its output that of the file EXPECTED and a match of
# PATTERN, what it says on stderr a match of ERROR_PATTERN, if given. UNORDERED:
# the lines of EXPECTED may come in any order.
cmake_policy(VERSION 3.20)

if("${CODE}" STREQUAL "")
    set(CODE 0)
endif()

execute_process(
    COMMAND ${LAUNCHER} "${PROGRAM}" ${ARGUMENTS}
    RESULT_VARIABLE code
    OUTPUT_VARIABLE output
    ERROR_VARIABLE errors)
string(REPLACE "\r\n" "\n" output "${output}")
string(REPLACE "\r\n" "\n" errors "${errors}")
message("${output}${errors}")

# A list can't hold brackets and semicolons as they are.
function(sort_lines variable)
    set(text "${${variable}}")
    string(REPLACE ";" "<semicolon>" text "${text}")
    string(REPLACE "[" "<left>" text "${text}")
    string(REPLACE "]" "<right>" text "${text}")
    string(REPLACE "\n" ";" text "${text}")
    list(SORT text)
    set(${variable} "${text}" PARENT_SCOPE)
endfunction()

if(NOT code STREQUAL CODE)
    message(FATAL_ERROR "exit code ${code}")
endif()
if(EXISTS "${EXPECTED}")
    file(READ "${EXPECTED}" expected)
    set(wanted "${expected}")
    set(got "${output}")
    if(UNORDERED)
        sort_lines(wanted)
        sort_lines(got)
    endif()
    if(NOT got STREQUAL wanted)
        message(FATAL_ERROR "expected this output:\n${expected}")
    endif()
endif()
if(NOT "${PATTERN}" STREQUAL "" AND NOT output MATCHES "${PATTERN}")
    message(FATAL_ERROR "expected output that matches: ${PATTERN}")
endif()
if(NOT "${ERROR_PATTERN}" STREQUAL "" AND NOT errors MATCHES "${ERROR_PATTERN}")
    message(FATAL_ERROR "expected on stderr a match of: ${ERROR_PATTERN}")
endif()
