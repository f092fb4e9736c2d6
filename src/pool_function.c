/* SPDX-License-Identifier: MIT */
/* How a task's function travels. To find out in which module it is takes longer
 * than an empty task, so those that were used lately are kept. */
#include "pickle.h"
#include "pool.h"

#include <stdlib.h>
#include <string.h>

static mp_error encode_function(mp_task task, mpi_buffer *out)
{
    mp_function function = (mp_function)(void (*)(void))task.function;
    mp_obj *parts[2] = {mp_obj_function(function), mp_obj_str(task.name)};
    mp_obj *both = mp_obj_tuple(parts, 2);
    mp_error err = mp_obj_error(both);

    if (err == MP_OK)
        err = mpi_pickle_dump(out, both, NULL);
    mp_obj_unref(both);
    return err;
}

static bool is_same_task(mp_task left, mp_task right)
{
    if (left.function != right.function)
        return false;
    return left.name == right.name ||
           (left.name != NULL && right.name != NULL &&
            strcmp(left.name, right.name) == 0);
}

mp_error mpi_engine_function(mpi_engine *engine, mp_task task, mp_bytes *out)
{
    mpi_known_function *known = engine->known;
    mpi_buffer encoded = {0};
    mp_error err;

    for (size_t i = 0; i < MPI_FUNCTIONS_KEPT; i++) {
        if (known[i].data != NULL && is_same_task(known[i].task, task)) {
            *out = (mp_bytes){known[i].data, known[i].size};
            return MP_OK;
        }
    }
    err = encode_function(task, &encoded);
    if (err != MP_OK) {
        mpi_buffer_free(&encoded);
        return err;
    }
    known += engine->next_known++ % MPI_FUNCTIONS_KEPT;
    free(known->data);
    *known = (mpi_known_function){task, encoded.data, encoded.size};
    *out = (mp_bytes){encoded.data, encoded.size};
    return MP_OK;
}

void mpi_engine_forget_functions(mpi_engine *engine)
{
    for (size_t i = 0; i < MPI_FUNCTIONS_KEPT; i++)
        free(engine->known[i].data);
}
