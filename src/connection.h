/* SPDX-License-Identifier: MIT */
/*
 * A connection's inside, for its files: connection.c (being made, passed on,
 * inherited, closed), message.c (sending, receiving, looking) and arrival.c
 * (handles that come along); and for those that make connections or wait for
 * them. The fork server and resource.c need the first part.
 */
#ifndef MULTIPROC_CONNECTION_INTERNAL_H
#define MULTIPROC_CONNECTION_INTERNAL_H

#include "frame.h"
#include "lifetime.h"
#include "peer.h"
#include "resource.h"

#include <multiproc/connection.h>

extern const mpi_resource_type mpi_connection_type;

/*
 * In a forked child: closes every connection but those it was given, so that
 * a child has the same connections under every start method, and the end of
 * file comes when the other side closes its end and not when the last of its
 * children does.
 */
void mpi_connections_after_fork(const mpi_transport *kept); /* NULL: all */
extern mpos_mutex mpi_connections_mutex;

/* -- What comes along with messages (arrival.c) ---------------------------- */

/* The handles that came along with a message, until something in the message
 * has taken them: in a list, for a forked child to close. */
typedef struct mpi_arrival {
    mpi_transport transport;
    struct mpi_arrival *next;
    struct mpi_arrival **link;
} mpi_arrival;

/* What came along with one message. All zero: nothing. */
typedef struct mpi_luggage {
    mpi_arrival *arrival; /* NULL: no handles */
    mp_error lost;        /* MP_OK, or why handles could not stay */
    bool is_unpacked;     /* the message's end has been looked at, see peer.h */
} mpi_luggage;

/* Takes over what is in arrived, which is empty then. The message stays whole,
 * whatever becomes of them. */
void mpi_luggage_add(mpi_luggage *luggage, mpos_arrivals *arrived);
/* Closes what nothing has taken. */
void mpi_luggage_free(mpi_luggage *luggage);
void mpi_arrivals_close(mpos_arrivals *arrived);
/* In a forked child, which has none of the threads that were receiving. */
void mpi_arrivals_after_fork(void);

/* -- The connection (connection.c) ----------------------------------------- */

/*
 * Who receives has recv_mutex, and may hold it for ever. Who only looks must
 * not wait for that, and has look_mutex, which is never held while anything
 * waits. Whichever has set is_busy then uses what is below it.
 */
struct mp_connection {
    mpi_lifetime lifetime;
    mp_connection *next; /* among those that are open */
    mp_connection **link;
    mpi_atomic32 references;
    /* It was given to the user, whose close() frees it; else it belongs to an
     * object. */
    bool is_users;
    bool is_readable;
    bool is_writable;
    bool is_left_behind; /* was open when this process was forked off */
    mpi_frame_end end;   /* end.in belongs to whoever is_busy */
    mpi_peer peer;
    mpos_mutex send_mutex;
    mpos_mutex recv_mutex;
    mpos_mutex look_mutex;
    mpi_atomic32 has_message; /* one is whole, or none can come */
    mpi_atomic32 is_busy;
    mpi_luggage luggage;    /* of the message that is in end.in */
    bool expects_challenge; /* the first message may be one */
};

/* MP_EINVAL, MP_ECLOSED. */
mp_error mpi_connection_check(const mp_connection *connection);
/* The same for who wants to receive: MP_EINVAL if it only sends. */
mp_error mpi_connection_check_readable(const mp_connection *connection);

/*
 * A connection over a stream that was accepted or connected; the user's, who
 * closes it. It owns the stream on success, on failure the caller still does.
 * In a forked child it is closed as all others are: a list that the stream was
 * in before lets go of it afterwards, not earlier. kind MPI_STREAM_LOCAL:
 * handles travel, so it has to be one of MPOS_UNIX.
 */
mp_error mpi_connection_adopt(mpos_handle stream, mpi_stream_kind kind,
                              mp_connection **out);
/* A client without a key: if the first message that it receives begins with
 * "#CHALLENGE#", that is MP_EAUTH, and the connection is unusable. */
void mpi_connection_expect_challenge(mp_connection *connection);

/* -- Looking (message.c) --------------------------------------------------- */

/* Whether recv() would not block, without a look at the system. */
static inline bool mpi_connection_has_message(const mp_connection *connection)
{
    return mpi_atomic32_load(&connection->has_message) != 0;
}

/* Reads what is there, but never waits. MP_OK: recv() will not block.
 * MP_TIMED_OUT: no whole message is there. MP_PENDING: another thread is
 * receiving. MP_ENOMEM. */
mp_error mpi_connection_look(mp_connection *connection);

#endif
