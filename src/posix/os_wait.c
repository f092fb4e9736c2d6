/* SPDX-License-Identifier: MIT */
/*
 * Waiting for many handles at once, by poll(2): every sentinel is something
 * that can be polled, even if only as a hint.
 */
#include "os_internal.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>

enum { FEW = 32, MILLISECOND = 1000000 };

/* poll()'s timeout; rounded up, lest the last millisecond be spent spinning. */
static int timeout_until(int64_t deadline, int64_t slice)
{
    int64_t left;

    if (deadline == MPOS_FOREVER) {
        left = slice;
    } else {
        left = deadline - mpos_now();
        left = left < slice ? left : slice;
    }
    if (left <= 0)
        return 0;
    if (left == MPOS_FOREVER)
        return -1;
    left = (left - 1) / MILLISECOND + 1;
    return left < INT_MAX ? (int)left : INT_MAX;
}

static bool prepare(const mpos_wait_item *items, struct pollfd *polled,
                    size_t count)
{
    bool has_process = false;

    for (size_t i = 0; i < count; i++) {
        polled[i].fd = (int)items[i].handle;
        polled[i].events = POLLIN;
        polled[i].revents = 0;
        has_process |= items[i].kind == MPOS_WAIT_PROCESS;
    }
    return has_process;
}

/* Returns whether any is ready. *has_hint: a process seems to have ended, but
 * has not yet; from then on only time tells, its descriptor is looked away
 * from. */
static bool mark_ready(mpos_wait_item *items, struct pollfd *polled,
                       size_t count, bool *has_hint)
{
    bool has_ready = false;

    for (size_t i = 0; i < count; i++) {
        bool is_ready = polled[i].revents != 0;

        if (items[i].kind == MPOS_WAIT_PROCESS)
            is_ready = mpos_sentinel_has_ended((int)items[i].handle, is_ready);
        if (!is_ready && polled[i].revents != 0) {
            polled[i].fd = -1;
            polled[i].revents = 0;
            *has_hint = true;
        }
        items[i].is_ready = is_ready;
        has_ready |= is_ready;
    }
    return has_ready;
}

static mp_error wait_polling(mpos_wait_item *items, struct pollfd *polled,
                             size_t count, int64_t deadline)
{
    int64_t longest = MPOS_FOREVER;
    int64_t slice;

    if (prepare(items, polled, count))
        longest = mpos_sentinel_slice();
    slice = longest;
    for (;;) {
        int timeout = timeout_until(deadline, slice);
        bool has_hint = false;

        if (poll(polled, (nfds_t)count, timeout) < 0) {
            if (errno != EINTR)
                return mpos_fail_errno("poll", errno);
            continue;
        }
        if (mark_ready(items, polled, count, &has_hint))
            return MP_OK;
        if (deadline != MPOS_FOREVER && mpos_now() >= deadline)
            return MP_TIMED_OUT;
        /* It is on its way out: a moment, then longer and longer ones. */
        if (has_hint)
            slice = MILLISECOND;
        else if (slice < longest)
            slice = slice < longest / 2 ? slice * 2 : longest;
    }
}

mp_error mpos_wait(mpos_wait_item *items, size_t count, int64_t deadline)
{
    struct pollfd few[FEW];
    struct pollfd *polled = few;
    mp_error error;

    if (count > FEW) {
        polled = mpi_malloc(count * sizeof(*polled));
        if (polled == NULL)
            return mpi_no_memory();
    }
    error = wait_polling(items, polled, count, deadline);
    if (polled != few)
        free(polled);
    return error;
}
