/* SPDX-License-Identifier: MIT */
/*
 * Who else uses CPython's shared memory. Its users hold no lock on it, so only
 * the kernel knows. Linux tells by a lease, fcntl(2), which it gives for what
 * nobody else has open, or mapped: of no process, no user, no container. That
 * is why /proc/<pid>/maps is not read, where each of these could hide.
 */
#include "os_internal.h"

#include <fcntl.h>

#ifdef F_SETSIG /* Linux; macOS has leases, but not of this kind */
/* Who opens it meanwhile waits for the lease to end, a few instructions later,
 * and the system tells us so by a signal, by default one that would end this
 * process; nobody minds SIGURG. */
bool mpos_shm_is_used(mpos_handle handle)
{
    int memory = (int)handle;

    if (fcntl(memory, F_SETSIG, SIGURG) != 0 ||
        fcntl(memory, F_SETLEASE, F_WRLCK) != 0)
        return true;
    return fcntl(memory, F_SETLEASE, F_UNLCK) != 0;
}
#else
bool mpos_shm_is_used(mpos_handle handle)
{
    (void)handle;
    return true;
}
#endif
