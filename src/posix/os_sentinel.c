/* SPDX-License-Identifier: MIT */
/*
 * Which mechanism tells the end of a process: the first of those built in that
 * this very system does not refuse. An old kernel, a container's filter or a
 * tool like valgrind may refuse what the headers promise.
 *
 * Asked once, before the first process; whoever asks at the same time gets the
 * same answer, and a forked child inherits it.
 */
#include "os_internal.h"

/* The best first. The last one is never refused. */
static const mpos_sentinel_mechanism *const mechanisms[] = {
#ifdef MULTIPROC_SENTINEL_PIDFD
    &mpos_sentinel_pidfd,
#endif
#ifdef MULTIPROC_SENTINEL_KQUEUE
    &mpos_sentinel_kqueue,
#endif
#ifdef MULTIPROC_SENTINEL_PIPE
    &mpos_sentinel_pipe,
#endif
};

enum { MECHANISM_COUNT = sizeof(mechanisms) / sizeof(mechanisms[0]) };

/* 0: not chosen yet; else one more than the index. */
static mpi_atomic32 choice;

/* No descriptor left is a reason to fail, not to choose the second best. */
static mp_error choose(void)
{
    mp_error error = MP_ENOTSUP;

    if (mpi_atomic32_load(&choice) != 0)
        return MP_OK;
    for (uint32_t i = 0; error == MP_ENOTSUP && i < MECHANISM_COUNT; i++) {
        error = mechanisms[i]->probe();
        if (error == MP_OK)
            mpi_atomic32_store(&choice, i + 1);
    }
    return error;
}

/* Sentinels come of mpos_birth_begin or mpos_sentinel_attach, which choose; so
 * without a choice there is none but a descriptor that came from elsewhere. */
static const mpos_sentinel_mechanism *chosen(void)
{
    uint32_t number = mpi_atomic32_load(&choice);

    return mechanisms[number == 0 ? 0 : number - 1];
}

mp_error mpos_birth_begin(mpos_birth *birth)
{
    mp_error error = choose();

    return error == MP_OK ? chosen()->begin(birth) : error;
}

mp_error mpos_birth_finish(mpos_birth *birth, pid_t pid)
{
    return chosen()->finish(birth, pid);
}

void mpos_birth_cancel(mpos_birth *birth)
{
    chosen()->cancel(birth);
}

void mpos_birth_in_child(mpos_birth *birth)
{
    chosen()->in_child(birth);
}

/* Of all: what our parent could use we may have been refused. */
void mpos_birth_loaded(void)
{
    for (uint32_t i = 0; i < MECHANISM_COUNT; i++)
        mechanisms[i]->loaded();
}

mp_error mpos_sentinel_attach(int *sentinel, pid_t pid)
{
    mp_error error = choose();

    return error == MP_OK ? chosen()->attach(sentinel, pid) : error;
}

int64_t mpos_sentinel_slice(void)
{
    return chosen()->slice;
}

bool mpos_sentinel_has_ended(int sentinel, bool is_polled)
{
    return chosen()->has_ended(sentinel, is_polled);
}

pid_t mpos_sentinel_collect(const mpos_process *process, int *status)
{
    return chosen()->collect(process, status);
}

int mpos_sentinel_kill(const mpos_process *process, int number)
{
    return chosen()->kill(process, number);
}

void mpos_sentinel_close(int sentinel)
{
    if (sentinel >= 0)
        chosen()->close(sentinel);
}
