/* SPDX-License-Identifier: MIT */
#include "worker.h"

#include "count.h"
#include "memory.h"

#include <string.h>

static wc_counter counter; /* empty between two tasks; its memory is kept */
static mp_value *victim;

int worker_begin(mp_args *args)
{
    counter.must_print = mp_arg_bool(args, 0);
    victim = mp_arg_value(args, 1);
    return 0;
}

/* A state for each of the paths. */
static unsigned char *count_files(const char *paths, size_t size, size_t *count)
{
    const char *end = paths + size;
    unsigned char *states = allocate(NULL, size); /* more than paths */

    *count = 0;
    for (; paths < end; paths += strlen(paths) + 1)
        states[(*count)++] = count_file(&counter, paths);
    return states;
}

static const char *parse_batch(const mp_obj *batch, int64_t *number,
                               size_t *size)
{
    const mp_obj *item;
    const void *paths;

    mp_check(mp_obj_item(batch, 0, &item));
    mp_check(mp_obj_as_int(item, number));
    mp_check(mp_obj_item(batch, 1, &item));
    mp_check(mp_obj_as_bytes(item, &paths, size));
    return paths;
}

mp_obj *worker_count(mp_args *args)
{
    const wc_totals *totals = &counter.totals;
    int64_t number, killer;
    size_t size, count, table_size;
    const char *paths = parse_batch(mp_arg_obj(args, 0), &number, &size);
    unsigned char *states;
    mp_obj *answer;
    void *table;

    killer = number;
    if (mp_compare_exchange(MP_VALUE(victim, int64_t), &killer, -1))
        abort();
    counter_clear(&counter);
    states = count_files(paths, size, &count);
    table = table_encode(&counter.table, &table_size);
    answer = MP_TUPLE(number, totals->lines, totals->words, totals->bytes,
                      MP_BYTES(states, count), MP_BYTES(table, table_size));
    free(table);
    free(states);
    return answer;
}
