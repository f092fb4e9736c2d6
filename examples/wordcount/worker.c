/* SPDX-License-Identifier: MIT */
#include "worker.h"

#include "count.h"
#include "memory.h"

#include <string.h>

/* A state for each of the paths. */
static unsigned char *count_batch(wc_counter *counter, const char *paths,
                                  size_t size, size_t *count)
{
    const char *end = paths + size;
    unsigned char *states = allocate(NULL, size); /* more than paths */

    *count = 0;
    for (; paths < end; paths += strlen(paths) + 1)
        states[(*count)++] = count_file(counter, paths);
    return states;
}

static void answer(mp_connection *parent, wc_counter *counter,
                   const char *paths, size_t size)
{
    size_t count;
    unsigned char *states;
    const wc_totals *totals = &counter->totals;

    counter->totals = (struct wc_totals){0};
    states = count_batch(counter, paths, size, &count);
    mp_check(mp_connection_send(parent, MP_TUPLE(totals->lines, totals->words,
                                                 totals->bytes,
                                                 MP_BYTES(states, count))));
    free(states);
}

int worker(mp_args *args)
{
    mp_connection *parent = mp_arg_connection(args, 0);
    wc_counter counter = {.must_print = mp_arg_bool(args, 1)};
    size_t size;
    void *data;

    for (;;) {
        mp_check(mp_connection_recv_bytes(parent, &data, &size));
        if (size == 0)
            break;
        answer(parent, &counter, data, size);
        mp_free(data);
    }
    mp_free(data);

    data = table_encode(&counter.table, &size);
    mp_check(mp_connection_send_bytes(parent, data, size));
    free(data);
    counter_free(&counter);
    return 0;
}
