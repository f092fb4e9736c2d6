/* SPDX-License-Identifier: MIT */
/* The kinds of things with handles, and the handles that travel with them. */
#include "resource.h"

#include "board.h"
#include "connection.h"
#include "handle.h"
#include "internal.h"
#include "queue.h"
#include "segment.h"
#include "share.h"
#include "shareable_list.h"
#include "shared.h"
#include "sync.h"
#include "typed.h"

#include <stdlib.h>
#include <string.h>

static const mpi_resource_type *const types[] = {
    &mpi_connection_type,
    &mpi_handle_type,
    &mpi_lock_kind.resource,
    &mpi_rlock_kind.resource,
    &mpi_semaphore_kind.resource,
    &mpi_event_kind.resource,
    &mpi_condition_kind.resource,
    &mpi_barrier_kind.resource,
    &mpi_value_kind.resource,
    &mpi_array_kind.resource,
    &mpi_shared_dict_kind.sync.resource,
    &mpi_shared_list_kind.sync.resource,
    &mpi_shared_memory_kind.resource,
    &mpi_shareable_list_type,
    &mpi_queue_kind.resource,
    &mpi_board_kind.resource,
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

    if (transport->has_no_handles)
        return mpi_fail(MP_EPICKLE, "this pipe carries no handles");
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

typedef struct mpi_made {
    const mpi_resource_type *type;
    void *self;
} mpi_made;

void *mpi_transport_made(const mpi_transport *transport, int64_t index,
                         const mpi_resource_type *type)
{
    if (transport == NULL || transport->made == NULL || index < 0 ||
        (size_t)index >= transport->count ||
        transport->made[index].type != type)
        return NULL;
    return transport->made[index].self;
}

mp_error mpi_transport_keep(mpi_transport *transport, int64_t index,
                            const mpi_resource_type *type, void *self)
{
    if (transport->made == NULL)
        transport->made =
            mpi_calloc(transport->count, sizeof(*transport->made));
    if (transport->made == NULL)
        return mpi_no_memory();
    type->ref(self);
    transport->made[index] = (mpi_made){type, self};
    return MP_OK;
}

void mpi_transport_close_untaken(mpi_transport *transport)
{
    for (size_t i = 0; i < transport->count; i++) {
        mpos_close(transport->handles[i]);
        transport->handles[i] = MPOS_NONE;
    }
}

void mpi_transport_free(mpi_transport *transport)
{
    mpi_parcel_cancel(&transport->parcel);
    for (size_t i = 0; transport->made != NULL && i < transport->count; i++)
        if (transport->made[i].type != NULL)
            transport->made[i].type->unref(transport->made[i].type,
                                           transport->made[i].self);
    free(transport->made);
    free(transport->moves);
    free(transport->handles);
    *transport = (mpi_transport){0};
}
