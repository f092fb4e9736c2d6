/* SPDX-License-Identifier: MIT */
/*
 * Waiting for many handles at once, by poll(2): whatever the kind, it is a
 * descriptor that gets readable. A process's sentinel may be a mere hint.
 */
#include "os_internal.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { FEW = 32, MILLISECOND = 1000000 };

/* -- Time ------------------------------------------------------------------ */

int mpos_poll_timeout(int64_t deadline, int64_t longest)
{
    int64_t left = longest;

    if (deadline != MPOS_FOREVER) {
        left = deadline - mpos_now();
        left = left < longest ? left : longest;
    }
    if (left <= 0)
        return 0;
    if (left == MPOS_FOREVER)
        return -1;
    left = (left - 1) / MILLISECOND + 1;
    return left < INT_MAX ? (int)left : INT_MAX;
}

/* -- More items than descriptors ------------------------------------------- */

static int compare_descriptors(const void *left, const void *right)
{
    int a = ((const struct pollfd *)left)->fd;
    int b = ((const struct pollfd *)right)->fd;

    return (a > b) - (a < b);
}

/* Each descriptor once, and none that is looked away from; how many. */
static size_t keep_distinct(struct pollfd *polled, size_t count)
{
    size_t kept = 0;

    qsort(polled, count, sizeof(*polled), compare_descriptors);
    for (size_t i = 0; i < count; i++) {
        bool is_new = kept == 0 || polled[kept - 1].fd != polled[i].fd;

        if (polled[i].fd >= 0 && is_new)
            polled[kept++] = polled[i];
    }
    return kept;
}

static short result_of(const struct pollfd *distinct, size_t kept,
                       const struct pollfd *item)
{
    const struct pollfd *found =
        bsearch(item, distinct, kept, sizeof(*item), compare_descriptors);

    return found == NULL ? 0 : found->revents;
}

static int poll_distinct(struct pollfd *polled, size_t count, int timeout)
{
    struct pollfd *distinct = mpi_malloc(count * sizeof(*distinct));
    size_t kept;
    int result;
    int cause;

    if (distinct == NULL) {
        errno = ENOMEM;
        return -1;
    }
    memcpy(distinct, polled, count * sizeof(*distinct));
    kept = keep_distinct(distinct, count);
    result = poll(distinct, (nfds_t)kept, timeout);
    cause = errno;
    for (size_t i = 0; i < count && result >= 0; i++)
        polled[i].revents = result_of(distinct, kept, &polled[i]);
    free(distinct);
    errno = cause;
    return result;
}

/* poll() takes no more items than a process may have descriptors, though some
 * of them are the same. */
static int poll_all(struct pollfd *polled, size_t count, int timeout)
{
    int result = poll(polled, (nfds_t)count, timeout);

    if (result < 0 && errno == EINVAL && count > FEW)
        return poll_distinct(polled, count, timeout);
    return result;
}

/* -- Waiting --------------------------------------------------------------- */

static bool is_foreign(const mpos_wait_item *item)
{
    return item->kind == MPOS_WAIT_SOCKET || item->kind == MPOS_WAIT_HANDLE;
}

static mp_error fail_foreign(const mpos_wait_item *item)
{
    return mpi_fail(MP_EINVAL, "%lld is no open descriptor",
                    (long long)item->handle);
}

static mp_error prepare(const mpos_wait_item *items, struct pollfd *polled,
                        size_t count, bool *has_process)
{
    for (size_t i = 0; i < count; i++) {
        mpos_handle handle = items[i].handle;

        /* Of what is negative, poll() would say nothing for ever. */
        if (is_foreign(&items[i]) && (handle < 0 || handle > INT_MAX))
            return fail_foreign(&items[i]);
        polled[i].fd = (int)handle;
        polled[i].events = POLLIN;
        polled[i].revents = 0;
        *has_process |= items[i].kind == MPOS_WAIT_PROCESS;
    }
    return MP_OK;
}

/* Of all, or outputs would be touched before one of them fails. */
static mp_error check_foreign(const mpos_wait_item *items,
                              const struct pollfd *polled, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if ((polled[i].revents & POLLNVAL) != 0 && is_foreign(&items[i]))
            return fail_foreign(&items[i]);
    }
    return MP_OK;
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
    bool has_process = false;
    mp_error error = prepare(items, polled, count, &has_process);

    if (error != MP_OK)
        return error;
    if (has_process)
        longest = mpos_sentinel_slice();
    slice = longest;
    for (;;) {
        int timeout = mpos_poll_timeout(deadline, slice);
        bool has_hint = false;

        if (poll_all(polled, count, timeout) < 0) {
            if (errno != EINTR)
                return mpos_fail_errno("poll", errno);
            continue;
        }
        error = check_foreign(items, polled, count);
        if (error != MP_OK)
            return error;
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
