# SPDX-License-Identifier: MIT
# The documents' C is compiled and run, and prints what they say it prints.
#
# What stands behind ```c, where a reader of the document doesn't see it:
#
#     file=hello.c      its name, in messages of the compiler and of mp_check()
#     methods=spawn     only with these start methods (spawn,fork)
#     args=a,b          its command line; UNIQUE in it is the run's own
#     beside=other.c    that program of the same document runs meanwhile, with
#                       the same args; it prints nothing
#     fragment          the body of a function
#
# What has a main() is a program, which is run. What has none is compiled, with
# multiproc.h if it includes nothing. Behind a block of C, a block ```text is
# what the program prints, stdout and stderr; "..." in it is any text of one
# line. Behind ```text:
#
#     of=hello.c        not the program just above, but that one
#     exit=1            its exit code, 0 if not given
#     unordered         the lines may come in any order

# -- Reading -------------------------------------------------------------------

# All by string(), never by lists: C is full of semicolons and brackets.

# Takes what comes before mark out of the variable text; all if there is none.
macro(multiproc_cut text mark before)
    string(FIND "${${text}}" "${mark}" multiproc_cut_at)
    string(SUBSTRING "${${text}}" 0 ${multiproc_cut_at} ${before})
    if(multiproc_cut_at EQUAL -1)
        set(${text} "")
    else()
        string(LENGTH "${mark}" multiproc_cut_length)
        math(EXPR multiproc_cut_at
            "${multiproc_cut_at} + ${multiproc_cut_length}")
        string(SUBSTRING "${${text}}" ${multiproc_cut_at} -1 ${text})
    endif()
endmacro()

# Adds the newlines of text, and one for the mark behind it, to line.
macro(multiproc_count line text)
    string(REGEX REPLACE "[^\n]" "" multiproc_newlines "${${text}}")
    string(LENGTH "${multiproc_newlines}" multiproc_newlines)
    math(EXPR ${line} "${${line}} + ${multiproc_newlines} + 1")
endmacro()

# The words behind ```c as BLOCK_file ... in the caller; fails on others.
function(multiproc_read_words where words)
    foreach(name file methods args beside fragment of exit unordered)
        unset(BLOCK_${name} PARENT_SCOPE)
    endforeach()
    string(REPLACE " " ";" words "${words}")
    foreach(word IN LISTS words)
        if(word MATCHES "^(file|methods|args|beside|of|exit)=(.+)$")
            string(REPLACE "," ";" value "${CMAKE_MATCH_2}")
            set(BLOCK_${CMAKE_MATCH_1} "${value}" PARENT_SCOPE)
        elseif(word MATCHES "^(fragment|unordered)$")
            set(BLOCK_${word} ON PARENT_SCOPE)
        else()
            message(FATAL_ERROR "${where}: what is '${word}'?")
        endif()
    endforeach()
endfunction()

# file(WRITE), but what is the same stays as old as it was.
function(multiproc_write_if_different file content)
    if(EXISTS "${file}")
        file(READ "${file}" old)
    endif()
    if(NOT "${old}" STREQUAL "${content}")
        file(WRITE "${file}" "${content}")
    endif()
endfunction()

# -- Making --------------------------------------------------------------------

# What is no program of its own: an object file, in which nothing calls what is
# defined. Messages name the document and its line.
function(multiproc_compile_block name file content)
    if(BLOCK_fragment)
        string(PREPEND content "void fragment(void);\nvoid fragment(void)\n{\n")
        string(APPEND content "\n}\n")
    endif()
    if(NOT content MATCHES "(^|\n)#include")
        string(PREPEND content "#include <multiproc.h>\n")
    endif()
    multiproc_write_if_different("${file}" "${content}")
    add_library(${name} OBJECT "${file}")
    multiproc_house_rules(${name})
    target_link_libraries(${name} PRIVATE multiproc_static)
    if(NOT MSVC)
        target_compile_options(${name} PRIVATE
            -Wno-unused-function -Wno-unused-variable -Wno-unused-parameter)
    endif()
endfunction()

# Messages say hello.c:12, as they do for whoever has saved it under this name.
# mp_main_guard() is ours, which also chooses the start method: see guard.c.
function(multiproc_build_block name file content)
    get_filename_component(short "${file}" NAME)
    multiproc_write_if_different("${file}" "#line 1 \"${short}\"\n${content}")
    add_executable(${name} "${file}" $<TARGET_OBJECTS:document_guard>)
    multiproc_house_rules(${name})
    multiproc_print_under_wine(${name})
    target_compile_definitions(${name} PRIVATE
        mp_main_guard=mp_document_guard)
    target_link_libraries(${name} PRIVATE multiproc_static)
endfunction()

# Runs the program once for each start method; reads the PROGRAM_* of its name.
function(multiproc_run_block name folder)
    set(methods ${PROGRAM_methods_${name}})
    if(NOT methods)
        set(methods ${MULTIPROC_START_METHODS})
    endif()
    set(beside "")
    if(PROGRAM_beside_${name})
        set(beside "$<TARGET_FILE:${PROGRAM_beside_${name}}>")
    endif()
    foreach(method IN LISTS methods)
        if(NOT method IN_LIST MULTIPROC_START_METHODS)
            continue()
        endif()
        multiproc_register(${name}_${method}
            COMMAND "${CMAKE_COMMAND}"
                "-DPROGRAM=$<TARGET_FILE:${name}>"
                "-DBESIDE=${beside}"
                "-DARGUMENTS=${PROGRAM_args_${name}}"
                "-DLAUNCHER=${CMAKE_CROSSCOMPILING_EMULATOR}"
                "-DEXPECTED=${folder}/${name}.text"
                "-DUNORDERED=${PROGRAM_unordered_${name}}"
                "-DCODE=${PROGRAM_exit_${name}}"
                "-DFOLDER=${folder}/${name}_${method}"
                -P "${PROJECT_SOURCE_DIR}/tests/docs/run.cmake"
            LABELS docs ${method}
            ENVIRONMENT LC_ALL=C.UTF-8
                "${MULTIPROC_START_METHOD_VARIABLE}=${method}")
    endforeach()
endfunction()

# -- A document ----------------------------------------------------------------

# The target's name for a file of the document.
macro(multiproc_name_block variable file)
    string(REGEX REPLACE "\\.c$" "" ${variable} "doc_${title}_${file}")
    string(REGEX REPLACE "[^A-Za-z0-9_]" "_" ${variable} "${${variable}}")
endmacro()

# These two belong to multiproc_add_document(), whose variables they use.
macro(multiproc_take_c)
    if(NOT BLOCK_file)
        set(BLOCK_file "line_${begin}.c")
    endif()
    multiproc_name_block(name "${BLOCK_file}")
    if(block MATCHES "(^|\n)int main\\(")
        multiproc_build_block(${name} "${folder}/${BLOCK_file}" "${block}")
        file(REMOVE "${folder}/${name}.text") # of an older document
        list(APPEND programs ${name})
        set(last ${name})
        foreach(word methods args)
            set(PROGRAM_${word}_${name} "${BLOCK_${word}}")
        endforeach()
        if(BLOCK_beside)
            multiproc_name_block(PROGRAM_beside_${name} "${BLOCK_beside}")
            list(APPEND guests ${PROGRAM_beside_${name}})
        endif()
    else()
        math(EXPR begin "${begin} + 1")
        multiproc_compile_block(${name} "${folder}/${BLOCK_file}"
            "#line ${begin} \"${document}\"\n${block}")
    endif()
endmacro()

macro(multiproc_take_text)
    if(BLOCK_of)
        multiproc_name_block(above "${BLOCK_of}")
    endif()
    if(above)
        multiproc_write_if_different("${folder}/${above}.text" "${block}")
        set(PROGRAM_exit_${above} "${BLOCK_exit}")
        set(PROGRAM_unordered_${above} "${BLOCK_unordered}")
    endif()
endmacro()

# multiproc_add_document(<path from the project's root>)
function(multiproc_add_document document)
    set(path "${PROJECT_SOURCE_DIR}/${document}")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${path}")
    get_filename_component(title "${document}" NAME_WE)
    string(TOLOWER "${title}" title)
    set(folder "${CMAKE_CURRENT_BINARY_DIR}/${title}")
    file(READ "${path}" rest)
    string(REPLACE "\r\n" "\n" rest "\n${rest}")
    set(line 0)
    set(programs "")
    set(guests "")
    set(last "")
    # A newline belongs to the line behind it: rest always begins with one.
    while(TRUE)
        multiproc_cut(rest "\n```" before)
        if(multiproc_cut_at EQUAL -1)
            break()
        endif()
        multiproc_count(line before)
        set(begin ${line})
        set(where "${document}:${begin}")
        multiproc_cut(rest "\n" words)
        multiproc_cut(words " " language)
        string(PREPEND rest "\n")
        multiproc_cut(rest "\n```\n" block)
        if(multiproc_cut_at EQUAL -1)
            message(FATAL_ERROR "${where}: this block has no end")
        endif()
        multiproc_count(line block)
        string(PREPEND rest "\n")
        string(APPEND block "\n")
        string(REGEX REPLACE "^\n" "" block "${block}")
        set(above "")
        if(before MATCHES "^[ \n]*$")
            set(above "${last}")
        endif()
        set(last "")
        if(language STREQUAL "c")
            multiproc_read_words("${where}" "${words}")
            multiproc_take_c()
        elseif(language STREQUAL "text")
            multiproc_read_words("${where}" "${words}")
            multiproc_take_text()
        endif()
    endwhile()
    foreach(name IN LISTS programs)
        if(NOT name IN_LIST guests)
            multiproc_run_block(${name} "${folder}")
        endif()
    endforeach()
endfunction()
