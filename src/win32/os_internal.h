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

/* -- Time (os_time.c) ------------------------------------------------------ */

/* What is left, rounded up, for the wait functions: 0 if the deadline has
 * passed, INFINITE for MPOS_FOREVER. They may return a little early, and long
 * waits are cut, so ask again after WAIT_TIMEOUT. */
DWORD mpi_win32_milliseconds(int64_t deadline);

/* -- Processes (os_ids.c) -------------------------------------------------- */

/* Creation time, 0 if it can't be told. */
uint64_t mpi_win32_start_time(HANDLE process);
bool mpi_win32_has_ended(HANDLE process);
/* MP_ENOTFOUND: no such process, or it has ended. */
mp_error mpi_win32_open_process(int64_t pid, DWORD access, HANDLE *process);
/* A function that ntdll.dll exports, or NULL. */
void (*mpi_win32_native(const char *name))(void);

#endif
