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
