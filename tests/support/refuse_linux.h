/* SPDX-License-Identifier: MIT */
/* Linux as an old kernel, a container's filter or a file system has it. */
#ifndef SUPPORT_REFUSE_LINUX_H
#define SUPPORT_REFUSE_LINUX_H

#include <stdbool.h>
#include <stddef.h>

/*
 * From now on this process, and all it starts, gets the error from pidfd_open,
 * pidfd_send_signal, memfd_create and close_range. False: the system has no
 * such filters.
 */
bool support_refuse_calls(int error);

/* The same from the calls of these numbers (SYS_...), at most 16. */
bool support_refuse(const long *numbers, size_t count, int error);

#endif
