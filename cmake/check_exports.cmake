# SPDX-License-Identifier: MIT
# What LIBRARY exports must be what the file LIST names: sorted, each name on a
# line of its own. FORMAT is ELF, MACHO or PE; NM and OBJDUMP read it. If SONAME
# is given, programs that are linked with LIBRARY must look for that name.

# -- What it exports -----------------------------------------------------------

# run(<variable> <command...>): what it writes, as lines.
function(run variable)
    execute_process(COMMAND ${ARGN}
        RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE errors)
    if(NOT code EQUAL 0)
        message(FATAL_ERROR "${ARGN}: ${code}\n${errors}")
    endif()
    # A list can't hold brackets and semicolons as they are.
    string(REGEX REPLACE "[][;]" "|" output "${output}")
    string(REGEX REPLACE "\r?\n" ";" output "${output}")
    set(${variable} "${output}" PARENT_SCOPE)
endfunction()

set(exported "")
if(FORMAT STREQUAL "PE")
    run(lines "${OBJDUMP}" -p "${LIBRARY}")
    set(is_table OFF)
    foreach(line IN LISTS lines)
        if(line MATCHES "Name Pointer. Table")
            set(is_table ON)
        elseif(is_table AND line MATCHES "^\t\\|[ 0-9]+\\| ([^ ]+)$")
            list(APPEND exported "${CMAKE_MATCH_1}")
        elseif(is_table)
            break()
        endif()
    endforeach()
else()
    set(options -g -P)
    if(FORMAT STREQUAL "ELF")
        list(APPEND options -D)
    endif()
    run(lines "${NM}" ${options} "${LIBRARY}")
    foreach(line IN LISTS lines)
        if(line MATCHES "^([^ @]+)[^ ]* [A-TV-Z] ")
            list(APPEND exported "${CMAKE_MATCH_1}")
        endif()
    endforeach()
    if(FORMAT STREQUAL "MACHO")
        # The linker's own, which every library has; and C's underscore.
        list(FILTER exported EXCLUDE REGEX "^(___dso_handle|__mh_.*)$")
        list(TRANSFORM exported REPLACE "^_(.*)$" "\\1")
    endif()
endif()

# -- What it should ------------------------------------------------------------

file(STRINGS "${LIST}" listed)
set(sorted "${listed}")
list(SORT sorted)
list(REMOVE_DUPLICATES sorted)
if(NOT listed OR NOT sorted STREQUAL listed)
    message(SEND_ERROR "${LIST}: not sorted, or a name twice, or empty")
endif()

set(gone "${listed}")
set(unlisted "${exported}")
if(exported)
    list(REMOVE_ITEM gone ${exported})
endif()
if(listed)
    list(REMOVE_ITEM unlisted ${listed})
endif()
foreach(name IN LISTS gone)
    message(SEND_ERROR "no longer exported: ${name}")
endforeach()
foreach(name IN LISTS unlisted)
    message(SEND_ERROR "exported, but not in the list: ${name}")
endforeach()

if(SONAME)
    run(lines "${OBJDUMP}" -p "${LIBRARY}")
    if(NOT lines MATCHES " SONAME +${SONAME};")
        message(SEND_ERROR "the SONAME is not ${SONAME}")
    endif()
endif()

list(LENGTH exported count)
message("${count} names are exported")
