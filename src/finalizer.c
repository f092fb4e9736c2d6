/* SPDX-License-Identifier: MIT */
/* The list of finalizers; exit.c says when they are called. */
#include "lifetime.h"
#include "state.h"

#include <multiproc/finalizer.h>

struct mp_finalizer {
    mpi_lifetime lifetime;
    void (*function)(void *argument);
    void *argument;
    int priority;
    mp_finalizer *next; /* the last created first */
};

mpos_mutex mpi_finalizers_mutex = MPOS_MUTEX_INIT;

static mp_finalizer *newest;

mp_error mp_finalizer_create(mp_finalizer **out,
                             void (*function)(void *argument), void *argument,
                             int priority)
{
    mp_finalizer *finalizer;

    if (function == NULL)
        return mpi_fail(MP_EINVAL, "a finalizer needs a function");
    finalizer = mpi_lifetime_new(MPI_FINALIZER, sizeof(*finalizer));
    if (finalizer == NULL)
        return mpi_no_memory();
    finalizer->function = function;
    finalizer->argument = argument;
    finalizer->priority = priority;
    mpos_mutex_lock(&mpi_finalizers_mutex);
    finalizer->next = newest;
    newest = finalizer;
    mpos_mutex_unlock(&mpi_finalizers_mutex);
    mpi_exit_register();
    if (out != NULL)
        *out = finalizer;
    return MP_OK;
}

/* True if it was there, so that of several threads only one goes on. */
static bool take(mp_finalizer *finalizer)
{
    mp_finalizer **link;

    mpos_mutex_lock(&mpi_finalizers_mutex);
    link = &newest;
    while (*link != NULL && *link != finalizer)
        link = &(*link)->next;
    if (*link == NULL)
        finalizer = NULL;
    else
        *link = finalizer->next;
    mpos_mutex_unlock(&mpi_finalizers_mutex);
    return finalizer != NULL;
}

static mp_error finish(mp_finalizer *finalizer, bool is_called)
{
    mp_error err = mpi_lifetime_check(finalizer, MPI_FINALIZER);

    if (err == MP_OK && !take(finalizer))
        err = mpi_fail(MP_ECLOSED, "the finalizer is not active any more");
    if (err != MP_OK)
        return err;
    if (is_called)
        finalizer->function(finalizer->argument);
    mpi_lifetime_end(finalizer);
    return MP_OK;
}

mp_error mp_finalizer_call(mp_finalizer *finalizer)
{
    return finish(finalizer, true);
}

mp_error mp_finalizer_cancel(mp_finalizer *finalizer)
{
    return finish(finalizer, false);
}

static bool is_listed(const mp_finalizer *finalizer)
{
    const mp_finalizer *it;

    mpos_mutex_lock(&mpi_finalizers_mutex);
    it = newest;
    while (it != NULL && it != finalizer)
        it = it->next;
    mpos_mutex_unlock(&mpi_finalizers_mutex);
    return it != NULL;
}

bool mp_finalizer_is_active(mp_finalizer *finalizer)
{
    return mpi_lifetime_check(finalizer, MPI_FINALIZER) == MP_OK &&
           is_listed(finalizer);
}

static mp_finalizer *next_to_run(int minimum)
{
    mp_finalizer *best = NULL;

    mpos_mutex_lock(&mpi_finalizers_mutex);
    for (mp_finalizer *it = newest; it != NULL; it = it->next)
        if (it->priority >= minimum &&
            (best == NULL || it->priority > best->priority))
            best = it;
    mpos_mutex_unlock(&mpi_finalizers_mutex);
    return best;
}

void mpi_finalizers_run(int minimum)
{
    mp_finalizer *finalizer;

    /* A finalizer may create and cancel others, so look anew each time. */
    while ((finalizer = next_to_run(minimum)) != NULL)
        mp_finalizer_call(finalizer);
}

void mpi_finalizers_after_fork(void)
{
    while (newest != NULL) {
        mp_finalizer *finalizer = newest;
        newest = finalizer->next;
        mpi_lifetime_end(finalizer);
    }
}
