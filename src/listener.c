/* SPDX-License-Identifier: MIT */
/*
 * Listeners: being made, accepting, waited for, closed. What happens to their
 * clients meanwhile is listener_work.c's.
 */
#include "listener.h"

#include "address.h"
#include "connection.h"
#include "state.h"

#include <stdlib.h>

enum {
    DEFAULT_BACKLOG = 128,
    DEFAULT_HANDSHAKES = 64,
    MOST_HANDSHAKES = 1 << 20,
    MICROSECOND = 1000,
    CLOSING_PAUSE = 200 * MICROSECOND,
};

#define DEFAULT_HANDSHAKE_TIMEOUT 10.0

/* Those that are open, for a forked child to close. */
static mp_listener *first_open;
/* Those that were, when this process began to end. */
static mp_listener *first_stopped;

/* -- Checking -------------------------------------------------------------- */

mp_error mpi_listener_check(const mp_listener *listener)
{
    mp_error err = mpi_lifetime_check(listener, MPI_LISTENER);

    if (err != MP_OK)
        return err;
    /* After a fork() of the user's own, which we hear of only now. */
    if (listener->pid != mpos_pid() && !listener->is_left_behind)
        (void)mpi_state_init();
    if (listener->is_left_behind)
        return mpi_fail(MP_ECLOSED, "the listener belongs to the process that "
                                    "has created it");
    return MP_OK;
}

/* With the mutex held, unless it fails. */
static mp_error enter(mp_listener *listener)
{
    mp_error err = mpi_listener_check(listener);

    if (err != MP_OK)
        return err;
    mpos_mutex_lock(&listener->mutex);
    if (!listener->is_closing)
        return MP_OK;
    mpos_mutex_unlock(&listener->mutex);
    return mpi_fail(MP_ECLOSED, "the listener is closed");
}

/* -- Creating -------------------------------------------------------------- */

static mp_error take_options(mp_listener *listener,
                             const mp_listener_options *options)
{
    mpos_family family = listener->where.family;
    double timeout = options->handshake_timeout;
    int64_t start = mpos_now(), end;

    if (!(timeout >= 0))
        return mpi_fail(MP_EINVAL, "a handshake can't take %g seconds",
                        timeout);
    if (options->same_user_only && family != MPOS_UNIX && family != MPOS_PIPE)
        return mpi_fail(MP_ENOTSUP, "the user at the other end is known only "
                                    "of UNIX and PIPE");
    end = mpi_deadline(timeout > 0 ? timeout : DEFAULT_HANDSHAKE_TIMEOUT);
    listener->patience = end == MPOS_FOREVER ? end : end - start;
    listener->limit =
        options->handshakes > 0 ? options->handshakes : DEFAULT_HANDSHAKES;
    if (listener->limit > MOST_HANDSHAKES)
        listener->limit = MOST_HANDSHAKES;
    listener->is_same_user_only = options->same_user_only;
    listener->has_key = !options->auth.is_none;
    return listener->has_key
               ? mpi_handshake_keys(&listener->keys, &options->auth)
               : MP_OK;
}

/* With mpi_connections_mutex held. */
static void list_add(mp_listener *listener)
{
    listener->next = first_open;
    listener->link = &first_open;
    if (listener->next != NULL)
        listener->next->link = &listener->next;
    first_open = listener;
}

/* In the list before there is a socket: to find a host, or a folder that nobody
 * else is busy with, may take long, and a child that is forked meanwhile must
 * not keep it. */
static mp_error open_handles(mp_listener *listener, unsigned backlog)
{
    mp_error err;

    mpos_mutex_lock(&mpi_connections_mutex);
    err = mpos_channel(&listener->waker[0], &listener->waker[1], NULL);
    if (err == MP_OK)
        list_add(listener);
    mpos_mutex_unlock(&mpi_connections_mutex);
    if (err == MP_OK)
        err = mpos_listen(&listener->where, backlog, &listener->socket);
    if (err != MP_OK)
        return err;
    mpos_mutex_lock(&mpi_connections_mutex);
    listener->address = mpi_address_from_os(&listener->where);
    listener->is_made = true;
    mpos_mutex_unlock(&mpi_connections_mutex);
    return MP_OK;
}

static mp_error start_listening(mp_listener *listener,
                                const mp_listener_options *options)
{
    unsigned backlog =
        options->backlog > 0 ? options->backlog : DEFAULT_BACKLOG;
    mp_error err = take_options(listener, options);

    if (err == MP_OK)
        err = mpi_listener_reserve(listener, 1);
    if (err == MP_OK)
        err = mpi_state_init();
    if (err != MP_OK)
        return err;
    mpi_exit_register();
    listener->pid = mpos_pid();
    return open_handles(listener, backlog);
}

/* Without the mutex, as somebody else may be busy with the folder; and while
 * the socket is open, or another file could have been taken for the path's. */
static void remove_path(const mp_listener *listener)
{
    mpos_listener_close(MPOS_NONE, &listener->where, true);
}

/* With mpi_connections_mutex held, the path gone; true if it did listen. */
static bool stop_listening(mp_listener *listener, bool is_owner)
{
    mpos_address where = {.family = listener->where.family};

    if (listener->link == NULL)
        return false;
    *listener->link = listener->next;
    if (listener->next != NULL)
        listener->next->link = listener->link;
    listener->link = NULL;
    mpos_listener_close(listener->socket, &where, is_owner);
    return true;
}

/* Everything it owns, but not the memory it is in. */
static void release(mp_listener *listener, bool is_owner)
{
    if (is_owner)
        remove_path(listener);
    mpos_mutex_lock(&mpi_connections_mutex);
    (void)stop_listening(listener, is_owner);
    mpi_listener_drop_clients(listener);
    mpos_close(listener->waker[0]);
    mpos_close(listener->waker[1]);
    mpos_mutex_unlock(&mpi_connections_mutex);
    mpi_wipe(&listener->keys, sizeof(listener->keys));
}

mp_error mp_listener_create(mp_listener **out, mp_address address,
                            const mp_listener_options *options)
{
    static const mp_listener_options defaults = {0};
    static const mpos_mutex free_mutex = MPOS_MUTEX_INIT;
    mp_listener *listener;
    mpos_address where;
    mp_error err;

    if (out == NULL)
        return mpi_fail(MP_EINVAL, "there is nowhere to put the listener");
    err = mpi_address_to_os(&address, &where);
    if (err != MP_OK)
        return err;
    listener = mpi_lifetime_new(MPI_LISTENER, sizeof(*listener));
    if (listener == NULL)
        return mpi_no_memory();
    listener->where = where;
    listener->socket = MPOS_NONE;
    listener->waker[0] = MPOS_NONE;
    listener->waker[1] = MPOS_NONE;
    listener->mutex = free_mutex;
    err = start_listening(listener, options == NULL ? &defaults : options);
    if (err != MP_OK) {
        release(listener, true);
        free(listener);
        return mpi_address_context(err, "can't listen", "at", &address);
    }
    *out = listener;
    return MP_OK;
}

/* -- Accepting ------------------------------------------------------------- */

static bool is_over(int64_t deadline)
{
    return deadline != MPOS_FOREVER && mpos_now() >= deadline;
}

/* Waits for everything, and serves what comes. */
static mp_error drive(mp_listener *listener, int64_t deadline)
{
    size_t count = mpi_listener_gather(listener, listener->items, &deadline);
    mp_error err;

    mpi_listener_update_waker(listener);
    mpos_mutex_unlock(&listener->mutex);
    err = mpos_wait(listener->items, count, deadline);
    mpos_mutex_lock(&listener->mutex);
    if (err != MP_OK && err != MP_TIMED_OUT)
        return err;
    return mpi_listener_serve(listener, err == MP_OK ? listener->items : NULL,
                              count);
}

/* Waits until who drives has something for us, or goes. */
static mp_error follow(mp_listener *listener, int64_t deadline)
{
    mpos_wait_item item = {.handle = listener->waker[0],
                           .kind = MPOS_WAIT_READ};
    mp_error err;

    listener->followers++;
    mpi_listener_update_waker(listener);
    mpos_mutex_unlock(&listener->mutex);
    err = mpos_wait(&item, 1, deadline);
    mpos_mutex_lock(&listener->mutex);
    listener->followers--;
    return err == MP_TIMED_OUT ? MP_OK : err;
}

/* Who drives does so until he has something to return. */
static mp_error accept_next(mp_listener *listener, int64_t deadline,
                            mp_connection **out)
{
    bool is_driver = false, has_looked = false;
    mp_error err = MP_OK;

    while (err == MP_OK && listener->done == 0 && !listener->is_closing) {
        if (has_looked && is_over(deadline)) {
            err = MP_TIMED_OUT;
            break;
        }
        if (!listener->is_driven) {
            is_driver = true;
            listener->is_driven = true;
            listener->driver = 0;
        }
        err =
            is_driver ? drive(listener, deadline) : follow(listener, deadline);
        has_looked = true;
    }
    if (is_driver)
        listener->is_driven = false;
    if (listener->is_closing)
        return mpi_fail(MP_ECLOSED, "the listener is closed");
    return listener->done > 0 ? mpi_listener_take(listener, out) : err;
}

mp_error mp_listener_accept(mp_listener *listener, double timeout,
                            mp_connection **out)
{
    int64_t deadline = mpi_deadline(timeout);
    mp_error err;

    if (out == NULL)
        return mpi_fail(MP_EINVAL, "there is nowhere to put the connection");
    err = enter(listener);
    if (err != MP_OK)
        return err;
    listener->users++;
    err = accept_next(listener, deadline, out);
    listener->users--;
    mpi_listener_update_waker(listener);
    mpos_mutex_unlock(&listener->mutex);
    return err;
}

/* -- Waiting for it with others -------------------------------------------- */

/* With the mutex held, and room enough. */
static size_t begin_waiting(mp_listener *listener, mpos_wait_item *items,
                            int64_t *deadline)
{
    if (listener->done > 0 || listener->is_closing)
        *deadline = 0;
    if (!listener->is_driven) {
        listener->is_driven = true;
        listener->driver = mpos_thread_id();
        return mpi_listener_gather(listener, items, deadline);
    }
    listener->followers++;
    items[0] =
        (mpos_wait_item){.handle = listener->waker[0], .kind = MPOS_WAIT_READ};
    return 1;
}

size_t mpi_listener_wait_items(mp_listener *listener, mpos_wait_item *items,
                               size_t room, int64_t *deadline)
{
    size_t count;

    mpos_mutex_lock(&listener->mutex);
    count = mpi_listener_most_items(listener);
    if (items != NULL && room < count) {
        count = SIZE_MAX;
    } else if (items != NULL) {
        count = begin_waiting(listener, items, deadline);
        mpi_listener_update_waker(listener);
    }
    mpos_mutex_unlock(&listener->mutex);
    return count;
}

mp_error mpi_listener_progress(mp_listener *listener,
                               const mpos_wait_item *items, size_t count)
{
    mp_error err = MP_OK;
    bool is_ready;

    mpos_mutex_lock(&listener->mutex);
    if (listener->is_driven && listener->driver == mpos_thread_id()) {
        err = mpi_listener_serve(listener, items, count);
        listener->is_driven = false;
    } else if (listener->followers > 0) {
        listener->followers--;
    }
    is_ready = err != MP_OK || listener->done > 0 || listener->is_closing;
    mpi_listener_update_waker(listener);
    mpos_mutex_unlock(&listener->mutex);
    return is_ready ? MP_OK : MP_TIMED_OUT;
}

/* -- Asking, closing ------------------------------------------------------- */

const mp_address *mp_listener_address(const mp_listener *listener)
{
    static const mp_address nowhere = {0};

    return mpi_listener_check(listener) == MP_OK ? &listener->address
                                                 : &nowhere;
}

mp_address mp_listener_last_accepted(mp_listener *listener)
{
    mp_address last = {0};

    if (enter(listener) != MP_OK)
        return last;
    last = listener->last;
    mpos_mutex_unlock(&listener->mutex);
    return last;
}

mp_error mp_listener_close(mp_listener *listener)
{
    mp_error err;

    if (listener == NULL)
        return MP_OK;
    err = enter(listener);
    if (err != MP_OK)
        return err;
    listener->is_closing = true;
    while (listener->users > 0) {
        mpi_listener_update_waker(listener);
        mpos_mutex_unlock(&listener->mutex);
        mpos_sleep_until(mpos_now() + CLOSING_PAUSE);
        mpos_mutex_lock(&listener->mutex);
    }
    mpos_mutex_unlock(&listener->mutex);
    release(listener, true);
    mpi_lifetime_end(listener);
    return MP_OK;
}

/* -- Exit, fork ------------------------------------------------------------ */

static mp_listener *find_open(void)
{
    mp_listener *found;

    mpos_mutex_lock(&mpi_connections_mutex);
    found = first_open;
    while (found != NULL && !found->is_made)
        found = found->next;
    mpos_mutex_unlock(&mpi_connections_mutex);
    return found;
}

/* Threads may still be in accept(): all but the socket stays. */
void mpi_listeners_at_exit(void)
{
    mp_listener *it;

    while ((it = find_open()) != NULL) {
        mpos_mutex_lock(&it->mutex);
        it->is_closing = true;
        mpi_listener_update_waker(it);
        mpos_mutex_unlock(&it->mutex);
        remove_path(it);
        mpos_mutex_lock(&mpi_connections_mutex);
        if (stop_listening(it, true)) {
            it->next = first_stopped;
            first_stopped = it;
        }
        mpos_mutex_unlock(&mpi_connections_mutex);
    }
}

void mpi_listeners_after_fork(void)
{
    mp_listener *next;

    for (mp_listener *it = first_open; it != NULL; it = next) {
        next = it->next;
        /* Another thread may have held it. */
        mpos_mutex_reset(&it->mutex);
        it->is_left_behind = true;
        release(it, false);
    }
    mpi_clients_after_fork();
}
