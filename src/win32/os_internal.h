/* SPDX-License-Identifier: MIT */
/* What the files of the Windows port share with each other. */
#ifndef MULTIPROC_OS_INTERNAL_H
#define MULTIPROC_OS_INTERNAL_H

#include "os.h"

#include "internal.h"

#include <windows.h>

/* -- Failing (os_error.c) -------------------------------------------------- */

/* Translates GetLastError(), with the sentence "what: text (error N)". */
mp_error mpi_win32_fail(const char *what);
mp_error mpi_win32_fail_code(DWORD code, const char *what);

/* -- Text (os_error.c) ----------------------------------------------------- */

/* mpi_malloc'ed. MP_EINVAL: text is not UTF-8. */
mp_error mpi_win32_wide(const char *text, wchar_t **wide);
/* mpi_malloc'ed; a lone surrogate becomes U+FFFD. */
mp_error mpi_win32_narrow(const wchar_t *wide, char **text);

/* -- Sections (os_memory.c) ------------------------------------------------ */

/* To map it, and to ask for its size. */
enum { MPI_WIN32_SECTION = FILE_MAP_READ | FILE_MAP_WRITE | SECTION_QUERY };

/* Zeroed and reserved. name NULL: without one. Returns the system's code, which
 * is ERROR_ALREADY_EXISTS if a section has the name. */
DWORD mpi_win32_create_section(const wchar_t *name, uint64_t size,
                               HANDLE *section);
/* In whole pages. */
mp_error mpi_win32_section_size(HANDLE section, uint64_t *size);
/* Maps the last bytes, up to 64 KiB of them, of what begins at *view and has
 * *size bytes. MP_EPROTO: they must not be touched. */
mp_error mpi_win32_map_end(HANDLE section, DWORD access, void **view,
                           size_t *size);

/* -- Files ----------------------------------------------------------------- */

/* With everybody, whatever they do. */
enum {
    MPI_WIN32_SHARED = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE
};

/* -- Overlapped calls (os_handle.c) ---------------------------------------- */

/* For an OVERLAPPED: nobody else waits for it. */
mp_error mpi_win32_take_event(HANDLE *event);
void mpi_win32_give_event(HANDLE event);
/* The outcome of a call that answered is_done; *count also if it is
 * ERROR_MORE_DATA. */
DWORD mpi_win32_finish(HANDLE file, BOOL is_done, OVERLAPPED *call,
                       DWORD *count);

/* -- Room in files (os_file_room.c) ---------------------------------------- */

/* Only sparse and compressed files have holes, or could have them later. */
mp_error mpi_win32_file_fill_holes(HANDLE file);
/* From where the file stands. */
mp_error mpi_win32_file_write(HANDLE file, mpos_bytes image);
/* MP_ENOSPC. It has so many bytes then. */
mp_error mpi_win32_file_reserve(HANDLE file, uint64_t size);

/* -- Sockets (os_socket.c, os_socket_poll.c) ------------------------------- */

/* False: it is none, as far as this process knows. Then nothing happened. */
bool mpi_win32_socket_close(HANDLE handle);
bool mpi_win32_socket_duplicate(HANDLE handle, HANDLE *copy);

/* Sockets that are waited for together, with one call. */
typedef struct mpi_socket_poll mpi_socket_poll;
/* Of those items that are sockets, of which there is at least one. */
mp_error mpi_socket_poll_create(mpi_socket_poll **out,
                                const mpos_wait_item *items, size_t count);
/* Marks those that are ready and those that are not. *has_any becomes true if
 * one is. MP_EINVAL: one is no socket. */
mp_error mpi_socket_poll_look(mpi_socket_poll *poll, mpos_wait_item *items,
                              size_t count, bool *has_any);
/* Sets event once one of them is ready, having reset it; must be followed by
 * disarm, by the same thread. */
mp_error mpi_socket_poll_arm(mpi_socket_poll *poll, HANDLE event);
bool mpi_socket_poll_is_done(const mpi_socket_poll *poll);
void mpi_socket_poll_disarm(mpi_socket_poll *poll);
/* Accepts NULL. */
void mpi_socket_poll_free(mpi_socket_poll *poll);

/* -- Named pipes (os_named_pipe.c) ----------------------------------------- */

/* The system ignores the lowest two bits of a handle, so they are never set: a
 * listener that is no socket is a pointer, with this one. */
static inline bool mpi_win32_is_pipe_listener(mpos_handle listener)
{
    return (listener & 1) != 0;
}

/* It is set while somebody is there; borrowed. */
HANDLE mpi_win32_pipe_listener_event(mpos_handle listener);
bool mpi_win32_is_message_pipe(HANDLE pipe);

/*
 * A read of no bytes, with which we wait, takes a message of no bytes. It is
 * noted here, and counts as still to be received by this process. expect: as
 * many may be noted from now on, until that is taken back. MP_ENOMEM.
 */
mp_error mpi_win32_expect_empty(size_t count);
void mpi_win32_expect_no_more(size_t count);
void mpi_win32_note_empty(HANDLE pipe);
bool mpi_win32_has_empty(HANDLE pipe);
/* It is closed. */
void mpi_win32_forget_empty(HANDLE pipe);

/* -- Time (os_time.c) ------------------------------------------------------ */

/* What is left, rounded up, for the wait functions: 0 if the deadline has
 * passed, INFINITE for MPOS_FOREVER. They may return a little early, and long
 * waits are cut, so ask again after WAIT_TIMEOUT. */
DWORD mpi_win32_milliseconds(int64_t deadline);

/* -- Processes (os_ids.c) -------------------------------------------------- */

/* Creation time, 0 if it can't be told. */
uint64_t mpi_win32_start_time(HANDLE process);
/* The same without a handle, which takes some hundred times as long.
 * MP_ENOTFOUND. */
mp_error mpi_win32_list_start_time(int64_t pid, uint64_t *ticks);
bool mpi_win32_has_ended(HANDLE process);
/* MP_ENOTFOUND: no such process, or it has ended. */
mp_error mpi_win32_open_process(int64_t pid, DWORD access, HANDLE *process);
/* A function that ntdll.dll exports, or NULL. */
void (*mpi_win32_native(const char *name))(void);

#endif
