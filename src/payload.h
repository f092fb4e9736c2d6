/* SPDX-License-Identifier: MIT */
/*
 * What tasks and results are as bytes. They are encoded right where they are to
 * travel: nothing is copied but by the encoder itself.
 *
 *     task      the tuple (function, name), pickled (function_size bytes), and
 *               then a pickle:
 *               CALL     the tuple (args, kwargs); kwargs may be None
 *               MAP, STARMAP   the list of items
 *     result    a pickle: of a CALL the value, else the list of values.
 *               If there are failures: the tuple (values, failures), where a
 *               failed item has None among the values (of a CALL: the list is
 *               [None]), and failures is a list of (index, code, sentence,
 *               where), in the order of the items.
 *               If all have failed for one reason, which is none of theirs
 *               (the arguments can't be decoded, the results find no room,
 *               memory is short): (None, [(0, code, sentence, where)]); this
 *               always fits into a slot. The slot's failures are all then.
 */
#ifndef MULTIPROC_PAYLOAD_H
#define MULTIPROC_PAYLOAD_H

#include "internal.h"

#include <multiproc/object.h>

/* One object on its way into memory of a size that has to be known before. */
typedef struct mpi_payload {
    const mp_obj *obj; /* borrowed */
    size_t most;       /* so many bytes are enough */
    mpi_buffer ready;  /* encoded already, where that could not be told */
} mpi_payload;

/* Finds out how much room obj needs. MP_EPICKLE, MP_ENOMEM. */
mp_error mpi_payload_begin(mpi_payload *payload, const mp_obj *obj);
/* Writes it to room for `most` bytes; *size is what it took. MP_EPICKLE (found
 * out here only), MP_ENOMEM. */
mp_error mpi_payload_write(mpi_payload *payload, void *room, size_t *size);
void mpi_payload_end(mpi_payload *payload);

#endif
