/* SPDX-License-Identifier: MIT */
/* The kinds of things with handles, and the handles that travel with them. */
#include "resource.h"

#include "connection.h"
#include "internal.h"

#include <stdlib.h>
#include <string.h>

static const mpi_resource_type *const types[] = {
    &mpi_connection_type,
};

const mpi_resource_type *mpi_resource_find(const char *name, size_t size)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strlen(types[i]->name) == size &&
            memcmp(types[i]->name, name, size) == 0)
            return types[i];
    return NULL;
}

static bool has_room_for_one(mpi_transport *transport)
{
    size_t capacity = transport->capacity == 0 ? 8 : transport->capacity * 2;
    mpos_handle *handles;

    if (transport->count < transport->capacity)
        return true;
    handles = mpi_realloc(transport->handles, capacity * sizeof(*handles));
    if (handles == NULL)
        return false;
    transport->handles = handles;
    transport->capacity = capacity;
    return true;
}

mp_error mpi_transport_add(mpi_transport *transport, mpos_handle handle,
                           size_t *index)
{
    size_t place = 0;

    while (place < transport->count && transport->handles[place] != handle)
        place++;
    if (place == transport->count) {
        if (!has_room_for_one(transport))
            return mpi_no_memory();
        transport->handles[transport->count++] = handle;
    }
    *index = place;
    return MP_OK;
}

mp_error mpi_transport_take(mpi_transport *transport, int64_t index,
                            mpos_handle *handle)
{
    if (transport == NULL || index < 0 || (size_t)index >= transport->count)
        return mpi_fail(MP_EUNPICKLE, "handle %lld did not come along",
                        (long long)index);
    if (transport->handles[index] == MPOS_NONE)
        return mpi_fail(MP_EUNPICKLE, "handle %lld is used twice",
                        (long long)index);
    *handle = transport->handles[index];
    transport->handles[index] = MPOS_NONE;
    return MP_OK;
}

void *mpi_transport_made(const mpi_transport *transport, int64_t index)
{
    if (transport == NULL || transport->selves == NULL || index < 0 ||
        (size_t)index >= transport->count)
        return NULL;
    return transport->selves[index];
}

mp_error mpi_transport_keep(mpi_transport *transport, int64_t index, void *self)
{
    if (transport->selves == NULL)
        transport->selves =
            mpi_calloc(transport->count, sizeof(*transport->selves));
    if (transport->selves == NULL)
        return mpi_no_memory();
    transport->selves[index] = self;
    return MP_OK;
}

void mpi_transport_free(mpi_transport *transport)
{
    free(transport->handles);
    free(transport->selves);
    *transport = (mpi_transport){0};
}
