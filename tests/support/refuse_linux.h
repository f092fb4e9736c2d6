/* SPDX-License-Identifier: MIT */
/* Linux as an old kernel or a container's filter has it. */
#ifndef SUPPORT_REFUSE_LINUX_H
#define SUPPORT_REFUSE_LINUX_H

#include <stdbool.h>

/*
 * From now on this process, and all it starts, gets the error from pidfd_open,
 * pidfd_send_signal, memfd_create and close_range. False: the system has no
 * such filters.
 */
bool support_refuse_calls(int error);

#endif
