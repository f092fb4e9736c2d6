/* SPDX-License-Identifier: MIT */
/*
 * A listener's inside, for its two files: listener.c (being made, accepting,
 * closed) and listener_work.c (its clients); and what others ask of it:
 * mp_wait() (wait.c) waits for it with everything else, and a forked child
 * leaves it behind (state.c).
 *
 * Nobody works for a listener but who waits for it. Of several threads one
 * does it all: it waits for the listening socket and for every handshake that
 * is under way. The others sleep on the listener's waker until that one has
 * something for them, or goes.
 */
#ifndef MULTIPROC_LISTENER_INTERNAL_H
#define MULTIPROC_LISTENER_INTERNAL_H

#include "handshake.h"
#include "lifetime.h"

#include <multiproc/listener.h>

/* -- For mp_wait() and forks ----------------------------------------------- */

/* MP_OK, MP_EINVAL, MP_ECLOSED. */
mp_error mpi_listener_check(const mp_listener *listener);

/*
 * What to wait for, with mpos_wait(), in order to make progress.
 *
 * items NULL: at most how many; it may be more the next time. Else puts them
 * there, brings *deadline forward to when the listener has to be looked after
 * although nothing happens, and returns how many there are; SIZE_MAX: there is
 * no room for them, ask again how many.
 *
 * Each call that has put items there is to be followed by exactly one of
 * mpi_listener_progress() in the same thread, whatever became of the wait.
 */
size_t mpi_listener_wait_items(mp_listener *listener, mpos_wait_item *items,
                               size_t room, int64_t *deadline);

/*
 * Does what can be done without waiting. items are those from above, as
 * mpos_wait() left them, which must have set their is_ready if it returned
 * MP_OK; NULL if it failed or ran into the deadline.
 *
 * MP_OK: accept() has something to return, perhaps an error. MP_TIMED_OUT: not
 * yet.
 */
mp_error mpi_listener_progress(mp_listener *listener,
                               const mpos_wait_item *items, size_t count);

/* Nobody listens any more, and no path is left. */
void mpi_listeners_at_exit(void);
/* In a forked child: closes all of them, and leaves their paths alone; and what
 * was being connected. */
void mpi_listeners_after_fork(void);
/* The second half of that (client.c). */
void mpi_clients_after_fork(void);

/* -- The listener (listener.c) --------------------------------------------- */

enum { MPI_LISTENER_SENTENCE_SIZE = 160 };

/* Somebody who has connected and was not returned by accept() yet. */
typedef struct mpi_client {
    mpi_handshake handshake; /* its stream is owned; MPOS_NONE once it failed */
    mp_address who;
    int64_t since;
    int64_t deadline;
    mp_error result; /* MP_PENDING: the handshake is under way */
    char sentence[MPI_LISTENER_SENTENCE_SIZE]; /* of a failure */
} mpi_client;

enum { MPI_LEAVING_MAX = 8 };

/* Somebody who was refused while more of what he said was on its way: to close
 * a socket with that unread would take back the refusal, too. So it is read,
 * for a while, by whoever waits for the listener. */
typedef struct mpi_leaver {
    mpos_handle stream;
    int64_t deadline;
    size_t left; /* bytes he may still send */
} mpi_leaver;

struct mp_listener {
    mpi_lifetime lifetime;
    mp_listener *next; /* among those that are open */
    mp_listener **link;
    int64_t pid;         /* whose it is */
    bool is_left_behind; /* was open when this process was forked off */
    bool is_made;        /* with mpi_connections_mutex held */
    mp_address address;
    mpos_address where;
    mpi_auth_keys keys;
    bool has_key;
    bool is_same_user_only;
    int64_t patience; /* with a handshake, in nanoseconds, or MPOS_FOREVER */
    size_t limit;     /* of handshakes */

    mpos_mutex mutex; /* of all below, and taken before mpi_connections_mutex */
    mpos_handle socket;
    /* Readable while those who sleep on it have something to do: the first
     * end is theirs, see mpi_listener_update_waker(). */
    mpos_handle waker[2];
    bool is_awake;
    bool is_closing;
    unsigned users;     /* threads in accept() */
    unsigned followers; /* of them, and of those in mp_wait(), that sleep on the
                           waker only */
    bool is_driven;     /* some thread waits for everything */
    uint64_t driver;    /* it is this one, in mp_wait(); 0: one in accept() */
    mp_address last;

    /* In the order in which they came; changed with mpi_connections_mutex held
     * as well, for forks. */
    mpi_client **clients;
    size_t count;
    size_t done; /* of them, those with a result */
    size_t room; /* for clients; items has room for the rest, too */
    mpi_leaver leavers[MPI_LEAVING_MAX]; /* the oldest first; as clients */
    size_t leaving;
    mpos_wait_item *items; /* of the thread that drives, in accept() */
};

/* -- Its clients (listener_work.c), with the mutex held -------------------- */

/* What there is to wait for at most. */
size_t mpi_listener_most_items(const mp_listener *listener);
/* Room for so many clients, and to wait for them. */
mp_error mpi_listener_reserve(mp_listener *listener, size_t count);
/* What who drives has to wait for; there is room. */
size_t mpi_listener_gather(mp_listener *listener, mpos_wait_item *items,
                           int64_t *deadline);
/* Serves whom the wait has found ready; items NULL: nobody. MP_EMFILE,
 * MP_ENOMEM and the like: no room for one more. */
mp_error mpi_listener_serve(mp_listener *listener, const mpos_wait_item *items,
                            size_t count);
/* Makes the first result accept()'s. MP_ENOMEM: it stays. */
mp_error mpi_listener_take(mp_listener *listener, mp_connection **out);
/* Whoever sleeps on the waker wakes up if there is something to do. */
void mpi_listener_update_waker(mp_listener *listener);
void mpi_listener_drop_clients(mp_listener *listener);

#endif
