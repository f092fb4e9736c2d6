# SPDX-License-Identifier: MIT
# Which port, and which files of it: a mechanism is one file, chosen by asking
# the system's headers, never by its name alone. Where the very system may
# refuse it all the same (Linux), the second best is built in as well and the
# choice is made at run time. The MULTIPROC_NO_* options choose as if the
# answer had been no.
include(CheckLibraryExists)
include(CheckSymbolExists)

if(WIN32)
    set(MULTIPROC_PORT win32)
else()
    set(MULTIPROC_PORT posix)
endif()

foreach(macro IN LISTS MULTIPROC_FEATURE_MACROS)
    list(APPEND CMAKE_REQUIRED_DEFINITIONS -D${macro})
endforeach()

# Sets MULTIPROC_HAVE_<WHAT>: the symbol is in that header and no option
# forbids it.
function(multiproc_look_for what symbol headers)
    check_symbol_exists(${symbol} "${headers}" MULTIPROC_FOUND_${what})
    if(MULTIPROC_FOUND_${what} AND NOT MULTIPROC_NO_${what})
        set(MULTIPROC_HAVE_${what} ON PARENT_SCOPE)
    else()
        set(MULTIPROC_HAVE_${what} OFF PARENT_SCOPE)
    endif()
endfunction()

set(MULTIPROC_PORT_SOURCES "")
set(MULTIPROC_PORT_DEFINITIONS "")
set(MULTIPROC_PORT_LIBRARIES "")

# -- Windows -------------------------------------------------------------------

if(MULTIPROC_PORT STREQUAL "win32")
    set(MULTIPROC_PORT_SOURCES
        src/win32/os_error.c
        src/win32/os_file.c
        src/win32/os_file_room.c
        src/win32/os_fork.c
        src/win32/os_handle.c
        src/win32/os_ids.c
        src/win32/os_load.c
        src/win32/os_memory.c
        src/win32/os_module.c
        src/win32/os_named.c
        src/win32/os_named_pipe.c
        src/win32/os_object.c
        src/win32/os_process.c
        src/win32/os_shm.c
        src/win32/os_shm_use.c
        src/win32/os_socket.c
        src/win32/os_socket_inet.c
        src/win32/os_socket_poll.c
        src/win32/os_spawn.c
        src/win32/os_thread.c
        src/win32/os_time.c
        src/win32/os_wait.c
        src/win32/os_word.c)
    set(MULTIPROC_PORT_LIBRARIES bcrypt)
endif()

# -- POSIX ---------------------------------------------------------------------

if(MULTIPROC_PORT STREQUAL "posix")
    set(THREADS_PREFER_PTHREAD_FLAG ON)
    find_package(Threads REQUIRED)
    set(MULTIPROC_PORT_LIBRARIES Threads::Threads ${CMAKE_DL_LIBS})

    multiproc_look_for(FUTEX SYS_futex sys/syscall.h)
    multiproc_look_for(KQUEUE kqueue "sys/types.h;sys/event.h")
    multiproc_look_for(MEMFD memfd_create sys/mman.h)
    multiproc_look_for(PIDFD SYS_pidfd_open sys/syscall.h)
    multiproc_look_for(PIPE2 pipe2 unistd.h)
    multiproc_look_for(SHM_ANON SHM_ANON sys/mman.h)

    set(MULTIPROC_PORT_SOURCES
        src/posix/os_error.c
        src/posix/os_file.c
        src/posix/os_file_lock.c
        src/posix/os_file_room.c
        src/posix/os_file_whole.c
        src/posix/os_fork.c
        src/posix/os_handle.c
        src/posix/os_ids.c
        src/posix/os_load.c
        src/posix/os_memory.c
        src/posix/os_memory_shm.c
        src/posix/os_module.c
        src/posix/os_named.c
        src/posix/os_named_pipe.c
        src/posix/os_object.c
        src/posix/os_process.c
        src/posix/os_sentinel.c
        src/posix/os_shm.c
        src/posix/os_shm_use.c
        src/posix/os_socket.c
        src/posix/os_socket_inet.c
        src/posix/os_socket_unix.c
        src/posix/os_spawn.c
        src/posix/os_thread.c
        src/posix/os_time.c
        src/posix/os_wait.c
        src/posix/os_word.c)

    if(MULTIPROC_HAVE_PIPE2)
        list(APPEND MULTIPROC_PORT_SOURCES src/posix/os_cloexec_atomic.c)
    else()
        list(APPEND MULTIPROC_PORT_SOURCES src/posix/os_cloexec_locked.c)
    endif()

    # Where there is SHM_ANON, memfd_create() is only another name for it.
    if(MULTIPROC_HAVE_MEMFD AND NOT MULTIPROC_HAVE_SHM_ANON)
        list(APPEND MULTIPROC_PORT_SOURCES src/posix/os_memory_memfd.c)
        list(APPEND MULTIPROC_PORT_DEFINITIONS MULTIPROC_MEMORY_MEMFD)
    endif()
    check_library_exists(rt shm_open "" MULTIPROC_FOUND_RT)
    check_symbol_exists(shm_open sys/mman.h MULTIPROC_FOUND_SHM_OPEN)
    if(MULTIPROC_FOUND_RT AND NOT MULTIPROC_FOUND_SHM_OPEN)
        list(APPEND MULTIPROC_PORT_LIBRARIES rt) # glibc before 2.34
    endif()

    if(MULTIPROC_HAVE_PIDFD)
        set(sentinels pidfd pipe)
    elseif(MULTIPROC_HAVE_KQUEUE)
        set(sentinels kqueue)
    else()
        set(sentinels pipe)
    endif()
    foreach(mechanism IN LISTS sentinels)
        string(TOUPPER ${mechanism} name)
        list(APPEND MULTIPROC_PORT_SOURCES
            src/posix/os_sentinel_${mechanism}.c)
        list(APPEND MULTIPROC_PORT_DEFINITIONS MULTIPROC_SENTINEL_${name})
    endforeach()

    # macOS is asked at run time whether it has os_sync_wait_on_address.
    set(word ${MULTIPROC_WORD})
    if(NOT word AND MULTIPROC_HAVE_FUTEX)
        set(word futex)
    elseif(NOT word AND APPLE)
        set(word osync)
    elseif(NOT word)
        set(word poll)
    endif()
    if(word STREQUAL "futex")
        set(words futex)
    elseif(word STREQUAL "osync")
        set(words osync poll)
    elseif(word STREQUAL "poll")
        set(words poll)
    else()
        message(FATAL_ERROR "MULTIPROC_WORD is futex, osync, poll or empty, "
            "not ${word}")
    endif()
    foreach(mechanism IN LISTS words)
        string(TOUPPER ${mechanism} name)
        list(APPEND MULTIPROC_PORT_SOURCES src/posix/os_word_${mechanism}.c)
        list(APPEND MULTIPROC_PORT_DEFINITIONS MULTIPROC_WORD_${name})
    endforeach()

    if(APPLE)
        list(APPEND MULTIPROC_PORT_SOURCES
            src/posix/os_module_macho.c
            src/posix/os_spawn_apple.c
            src/posix/os_system_apple.c)
    elseif(CMAKE_SYSTEM_NAME STREQUAL "FreeBSD")
        list(APPEND MULTIPROC_PORT_SOURCES
            src/posix/os_module_elf.c
            src/posix/os_spawn_vfork.c
            src/posix/os_system_freebsd.c)
    elseif(CMAKE_SYSTEM_NAME STREQUAL "Linux")
        list(APPEND MULTIPROC_PORT_SOURCES
            src/posix/os_module_elf.c
            src/posix/os_spawn_vfork.c
            src/posix/os_system_linux.c)
    else()
        message(FATAL_ERROR "there is no port to ${CMAKE_SYSTEM_NAME} yet")
    endif()
endif()

# The same options as macros, for what is one call in a file, not a file.
foreach(what PIDFD MEMFD PDEATHSIG CLOSE_RANGE TMPFILE PACKETS)
    if(MULTIPROC_NO_${what})
        list(APPEND MULTIPROC_PORT_DEFINITIONS MULTIPROC_NO_${what})
    endif()
endforeach()

if(MULTIPROC_COVERAGE)
    list(APPEND MULTIPROC_PORT_SOURCES tests/support/coverage.c)
endif()

unset(CMAKE_REQUIRED_DEFINITIONS)
