# SPDX-License-Identifier: MIT
# Runs PROGRAM with ARGUMENTS (behind LAUNCHER, if any) in FOLDER, which is
# empty at first, and BESIDE at the same time: the exit code must be CODE (0 if
# not given), and what it prints the text of the file EXPECTED, if there is one.
# In there "..." is any text of one line; UNORDERED: the lines may come in any
# order.
if("${CODE}" STREQUAL "")
    set(CODE 0)
endif()
string(RANDOM LENGTH 8 unique)
string(REPLACE "UNIQUE" "${unique}" ARGUMENTS "${ARGUMENTS}")
file(REMOVE_RECURSE "${FOLDER}")
file(MAKE_DIRECTORY "${FOLDER}")

# -- Run -----------------------------------------------------------------------

# Several commands run at the same time; the output is the last one's.
set(commands COMMAND ${LAUNCHER} "${PROGRAM}" ${ARGUMENTS})
if(BESIDE)
    set(commands COMMAND ${LAUNCHER} "${BESIDE}" ${ARGUMENTS} ${commands})
    set(CODE "0;${CODE}")
endif()
execute_process(${commands}
    WORKING_DIRECTORY "${FOLDER}"
    RESULTS_VARIABLE codes
    OUTPUT_VARIABLE output
    ERROR_VARIABLE output)
string(REPLACE "\r\n" "\n" output "${output}")
# Wine's own, when a process ends while another thread of it asks the server;
# with or without its end.
string(REGEX REPLACE "wine client error:[0-9a-f]+: (write: [A-Za-z ]+\n)?" ""
    output "${output}")
message("${output}")
if(NOT codes STREQUAL CODE)
    message(FATAL_ERROR "exit code ${codes}, expected ${CODE}")
endif()
if(NOT EXISTS "${EXPECTED}")
    return()
endif()

# -- Compare -------------------------------------------------------------------

# A list of the lines of text. It can't hold brackets and semicolons as they
# are, nor a line without anything at its end.
function(split_lines variable text)
    string(REGEX REPLACE "\n$" "" text "${text}")
    string(REPLACE ";" "<semicolon>" text "${text}")
    string(REPLACE "[" "<left>" text "${text}")
    string(REPLACE "]" "<right>" text "${text}")
    string(REPLACE "\n" ";|" text "${text}")
    set(${variable} "|${text}" PARENT_SCOPE)
endfunction()

# Whether a line is what was expected.
function(line_matches variable line expected)
    string(REGEX REPLACE "([.*+?^$()|\\\\])" "\\\\\\1" pattern "${expected}")
    string(REPLACE "\\.\\.\\." ".*" pattern "${pattern}")
    set(${variable} OFF PARENT_SCOPE)
    if("${line}" MATCHES "^${pattern}$")
        set(${variable} ON PARENT_SCOPE)
    endif()
endfunction()

# Where in the list lines, that are left, expected is; -1: nowhere.
function(find_line variable expected)
    set(${variable} -1 PARENT_SCOPE)
    set(i 0)
    foreach(line IN LISTS lines)
        line_matches(is_it "${line}" "${expected}")
        if(is_it)
            set(${variable} ${i} PARENT_SCOPE)
            return()
        endif()
        if(NOT UNORDERED)
            return()
        endif()
        math(EXPR i "${i} + 1")
    endforeach()
endfunction()

file(READ "${EXPECTED}" text)
split_lines(wanted "${text}")
split_lines(lines "${output}")
if(UNORDERED)
    # Those with "..." last: they might take what is another's.
    set(patterns "${wanted}")
    list(FILTER patterns INCLUDE REGEX "\\.\\.\\.")
    list(FILTER wanted EXCLUDE REGEX "\\.\\.\\.")
    list(APPEND wanted ${patterns})
endif()
foreach(expected IN LISTS wanted)
    find_line(at "${expected}")
    if(at EQUAL -1)
        message(FATAL_ERROR "expected this output, at '${expected}':\n${text}")
    endif()
    list(REMOVE_AT lines ${at})
endforeach()
if(NOT lines STREQUAL "")
    message(FATAL_ERROR "more output than this:\n${text}")
endif()
