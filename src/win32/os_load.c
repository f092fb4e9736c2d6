/* SPDX-License-Identifier: MIT */
/*
 * Calls policy when the library is loaded. In a DLL that happens under the
 * loader's lock, as in DllMain: no threads are awaited and no libraries loaded.
 */
#include "os_internal.h"

void mpos_load_hook(void)
{
    /* Its address is what matters: it brings this file into the link. */
}

#ifdef _MSC_VER

static void __cdecl load(void)
{
    mpi_library_loaded();
}

/* The C library calls what lies in this section before main(); the pragma
 * keeps the linker from dropping a pointer that nothing refers to. */
#pragma section(".CRT$XCU", read)
__declspec(allocate(".CRT$XCU")) void(__cdecl *mpi_win32_load)(void) = load;
#ifdef _WIN64
#pragma comment(linker, "/include:mpi_win32_load")
#else
#pragma comment(linker, "/include:_mpi_win32_load")
#endif

#else

static void __attribute__((__constructor__)) load(void)
{
    mpi_library_loaded();
}

#endif
