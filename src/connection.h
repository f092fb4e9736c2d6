/* SPDX-License-Identifier: MIT */
/*
 * A connection's inside, for its two files: connection.c (being made, passed
 * on, inherited, closed) and message.c (sending, receiving). The fork server
 * and resource.c need the first half.
 */
#ifndef MULTIPROC_CONNECTION_INTERNAL_H
#define MULTIPROC_CONNECTION_INTERNAL_H

#include "frame.h"
#include "lifetime.h"
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

/* -- Messages (message.c) -------------------------------------------------- */

/* What came along with a message, from its arrival until something in the
 * message has taken it: in a list, for a forked child to close. */
typedef struct mpi_arrival {
    mpi_transport transport;
    struct mpi_arrival *next;
    struct mpi_arrival **link;
} mpi_arrival;

typedef struct mpi_message {
    unsigned char *data; /* malloc'ed; NULL: there is no message */
    size_t size;
    mpi_arrival *arrival; /* NULL: nothing came along */
    mp_error lost;        /* MP_OK, or why what came along could not stay */
} mpi_message;

/* Closes what nothing has taken. Accepts one that is all zero. */
void mpi_message_free(mpi_message *message);
/* In a forked child, which has none of the threads that were receiving. */
void mpi_arrivals_after_fork(void);

/* -- The connection (connection.c) ----------------------------------------- */

struct mp_connection {
    mpi_lifetime lifetime;
    mp_connection *next; /* among those that are open */
    mp_connection **link;
    mpi_atomic32 references;
    /* mp_pipe() gave it to the user, whose close() frees it; else it belongs
     * to an object. */
    bool is_users;
    bool is_readable;
    bool is_writable;
    bool is_left_behind; /* was open when this process was forked off */
    mpi_frame_end end;
    mpos_mutex send_mutex;
    mpos_mutex recv_mutex;
    mpi_message kept; /* has been received, but did not fit */
};

mp_error mpi_connection_check(const mp_connection *connection);

#endif
