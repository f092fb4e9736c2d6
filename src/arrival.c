/* SPDX-License-Identifier: MIT */
/* Handles that came along with a message, and whose they are until something
 * in the message has taken them. */
#include "connection.h"

#include <stdlib.h>
#include <string.h>

/* With mpi_connections_mutex held. Between the system's handing a handle out
 * and its being in here are a few instructions; a child forked just then keeps
 * it open until it ends. */
static mpi_arrival *first_arrival;

static mpi_arrival *arrival_new(const mpos_arrivals *arrived)
{
    size_t size = arrived->count * sizeof(arrived->handles[0]);
    mpi_arrival *arrival = mpi_calloc(1, sizeof(*arrival));
    mpos_handle *handles = mpi_malloc(size);

    if (arrival == NULL || handles == NULL) {
        free(arrival);
        free(handles);
        return NULL;
    }
    memcpy(handles, arrived->handles, size);
    arrival->transport = (mpi_transport){.handles = handles,
                                         .count = arrived->count,
                                         .capacity = arrived->count};
    mpos_mutex_lock(&mpi_connections_mutex);
    arrival->next = first_arrival;
    arrival->link = &first_arrival;
    if (arrival->next != NULL)
        arrival->next->link = &arrival->next;
    first_arrival = arrival;
    mpos_mutex_unlock(&mpi_connections_mutex);
    return arrival;
}

static void arrival_free(mpi_arrival *arrival)
{
    if (arrival == NULL)
        return;
    mpos_mutex_lock(&mpi_connections_mutex);
    *arrival->link = arrival->next;
    if (arrival->next != NULL)
        arrival->next->link = arrival->link;
    mpi_transport_close_untaken(&arrival->transport);
    mpos_mutex_unlock(&mpi_connections_mutex);
    mpi_transport_free(&arrival->transport);
    free(arrival);
}

void mpi_luggage_add(mpi_luggage *luggage, mpos_arrivals *arrived)
{
    if (arrived->is_cut)
        luggage->lost = MP_EMFILE;
    else if (arrived->count > 0 &&
             (luggage->arrival = arrival_new(arrived)) == NULL)
        luggage->lost = MP_ENOMEM;
    if (luggage->lost != MP_OK)
        mpi_arrivals_close(arrived);
    arrived->count = 0;
}

void mpi_luggage_free(mpi_luggage *luggage)
{
    arrival_free(luggage->arrival);
    *luggage = (mpi_luggage){0};
}

void mpi_arrivals_close(mpos_arrivals *arrived)
{
    for (size_t i = 0; i < arrived->count; i++)
        mpos_close(arrived->handles[i]);
    arrived->count = 0;
}

void mpi_arrivals_after_fork(void)
{
    for (mpi_arrival *it = first_arrival; it != NULL; it = it->next)
        mpi_transport_close_untaken(&it->transport);
}
