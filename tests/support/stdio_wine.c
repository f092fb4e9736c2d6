/* SPDX-License-Identifier: MIT */
/*
 * For programs of MinGW that run under Wine. MinGW's printf() brings its own
 * _lock_file(), which takes lock 16 + n of msvcrt for the n-th stream: right on
 * Windows, another lock than that of Wine's fwrite() and fflush(). Lines of two
 * threads ended up in each other. So take the one that msvcrt itself has.
 */
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

/* Under names of their own, as <stdio.h> says that both are imported. */
void lock_stream(FILE *stream) __asm__("_lock_file");
void unlock_stream(FILE *stream) __asm__("_unlock_file");

static void call_msvcrt(const char *name, FILE *stream)
{
    FARPROC found = GetProcAddress(GetModuleHandleA("msvcrt.dll"), name);
    union {
        FARPROC any;
        void(__cdecl *call)(FILE *);
    } function = {.any = found};

    if (found == NULL)
        abort();
    function.call(stream);
}

void lock_stream(FILE *stream)
{
    call_msvcrt("_lock_file", stream);
}

void unlock_stream(FILE *stream)
{
    call_msvcrt("_unlock_file", stream);
}
