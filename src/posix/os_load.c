/* SPDX-License-Identifier: MIT */
/* What happens when the library, or the program it is part of, is loaded. */
#include "os_internal.h"

__attribute__((__constructor__)) static void load(void)
{
    mpos_birth_loaded();
    mpos_word_loaded();
    mpos_program_loaded();
    mpi_library_loaded();
}

void mpos_load_hook(void)
{
}
