/* SPDX-License-Identifier: MIT */
/* The clock, sleeping until it says so, and chance. */
#include "os_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { SECOND = 1000000000, ENTROPY_LIMIT = 256 };

int64_t mpos_now(void)
{
    struct timespec now;

    clock_gettime(mpos_clock, &now);
    return (int64_t)now.tv_sec * SECOND + now.tv_nsec;
}

void mpos_sleep_until(int64_t deadline)
{
    const int64_t longest = (int64_t)86400 * SECOND;

    for (;;) {
        int64_t now = mpos_now();
        int64_t left;
        struct timespec pause;

        if (now >= deadline)
            return;
        left = deadline - now < longest ? deadline - now : longest;
        pause.tv_sec = (time_t)(left / SECOND);
        pause.tv_nsec = (long)(left % SECOND);
        nanosleep(&pause, NULL);
    }
}

/* For kernels that are older than getrandom(2). */
static mp_error random_from_device(unsigned char *data, size_t size)
{
    const char *path = "/dev/urandom";
    int device = open(path, O_RDONLY | O_CLOEXEC);
    mp_error error = MP_OK;

    if (device < 0)
        return mpos_fail_errno(path, errno);
    while (size > 0) {
        ssize_t got = read(device, data, size);

        if (got > 0) {
            data += got;
            size -= (size_t)got;
        } else if (got == 0 || errno != EINTR) {
            error = mpos_fail_errno(path, got == 0 ? EIO : errno);
            break;
        }
    }
    close(device);
    return error;
}

mp_error mpos_random(void *data, size_t size)
{
    unsigned char *place = data;

    while (size > 0) {
        size_t part = size < ENTROPY_LIMIT ? size : ENTROPY_LIMIT;

        if (getentropy(place, part) != 0)
            return random_from_device(place, size);
        place += part;
        size -= part;
    }
    return MP_OK;
}
