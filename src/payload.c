/* SPDX-License-Identifier: MIT */
/* Objects on their way into memory of a given size. */
#include "payload.h"

#include "pickle.h"

#include <string.h>

/* Written beforehand, and then copied: seldom large. */
static mp_error write_now(mpi_payload *payload)
{
    mp_error err = mpi_pickle_dump(&payload->ready, payload->obj, NULL);

    payload->most = payload->ready.size;
    if (err != MP_OK)
        mpi_payload_end(payload);
    return err;
}

mp_error mpi_payload_begin(mpi_payload *payload, const mp_obj *obj)
{
    mp_error err;

    *payload = (mpi_payload){.obj = obj};
    err = mpi_pickle_bound(obj, &payload->most);
    return err == MP_PENDING ? write_now(payload) : err;
}

mp_error mpi_payload_write(mpi_payload *payload, void *room, size_t *size)
{
    mpi_buffer out = {
        .data = room,
        .capacity = payload->most,
        .is_fixed = true,
    };
    mp_error err;

    if (payload->ready.data != NULL) {
        memcpy(room, payload->ready.data, payload->ready.size);
        *size = payload->ready.size;
        return MP_OK;
    }
    err = mpi_pickle_dump(&out, payload->obj, NULL);
    if (out.has_failed)
        return mpi_fail(MP_EPICKLE, "can't pickle what changes meanwhile");
    if (err == MP_OK)
        *size = out.size;
    return err;
}

void mpi_payload_end(mpi_payload *payload)
{
    mpi_buffer_free(&payload->ready);
}
