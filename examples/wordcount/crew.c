/* SPDX-License-Identifier: MIT */
/*
 * Answers are taken in the order in which they come: while the parent adds up
 * the words of one batch, workers count the next ones. A worker that dies costs
 * the one batch that it had.
 */
#include "crew.h"

#include "batch.h"
#include "memory.h"
#include "worker.h"

#include <string.h>

typedef struct wc_crew {
    const wc_file_list *list;
    crew_result *result;
    wc_batches batches;
    size_t given; /* batches */
    size_t done;  /* files */
} wc_crew;

static mp_error give_batch(void *context, mp_obj **item)
{
    wc_crew *crew = context;
    const wc_batch *batch = &crew->batches.items[crew->given];
    size_t size;
    char *paths;

    if (crew->given == crew->batches.count)
        return MP_EEOF;
    paths = batch_paths(&crew->batches, batch, crew->list, &size);
    *item = MP_TUPLE(crew->given++, MP_BYTES(paths, size));
    free(paths);
    return MP_OK;
}

static uint64_t int_of(const mp_obj *answer, int64_t index)
{
    const mp_obj *item;
    int64_t value;

    mp_check(mp_obj_item(answer, index, &item));
    mp_check(mp_obj_as_int(item, &value));
    return (uint64_t)value;
}

static const void *bytes_of(const mp_obj *answer, int64_t index, size_t *size)
{
    const mp_obj *item;
    const void *data;

    mp_check(mp_obj_item(answer, index, &item));
    mp_check(mp_obj_as_bytes(item, &data, size));
    return data;
}

static void take_answer(wc_crew *crew, const mp_obj *answer)
{
    crew_result *result = crew->result;
    const wc_batch *batch = &crew->batches.items[int_of(answer, 0)];
    const unsigned char *states;
    const void *table;
    size_t size;

    result->totals.lines += int_of(answer, 1);
    result->totals.words += int_of(answer, 2);
    result->totals.bytes += int_of(answer, 3);
    states = bytes_of(answer, 4, &size);
    for (size_t i = 0; i < batch->count && i < size; i++)
        result->states[crew->batches.order[batch->first + i]] = states[i];
    table = bytes_of(answer, 5, &size);
    table_merge(&result->table, table, size);
    crew->done += batch->count;
}

static void report(wc_crew *crew, mp_iterator *answers)
{
    mp_failure failure;

    mp_check(mp_iterator_failure(answers, &failure));
    if (failure.code == MP_EWORKERDIED)
        fprintf(stderr, "wordcount: %s died, exit code %d\n", failure.worker,
                failure.exitcode);
    else
        fprintf(stderr, "wordcount: %s\n", failure.sentence);
    crew->done += crew->batches.items[failure.index].count;
}

static void take_all(wc_crew *crew, mp_iterator *answers)
{
    mp_obj *answer;
    mp_error err;

    mp_progress_bar("files", 0, crew->list->count);
    while ((err = mp_iterator_next(answers, MP_FOREVER, &answer)) != MP_EEOF) {
        if (err == MP_OK) {
            take_answer(crew, answer);
            mp_obj_unref(answer);
        } else {
            report(crew, answers);
        }
        mp_progress_bar("files", crew->done, crew->list->count);
    }
}

static void run(wc_crew *crew, const crew_options *options)
{
    int64_t victim = (int64_t)options->victim - 1; /* batches count from 0 */
    mp_task_options task_options = {.retries = (unsigned)options->retries};
    mp_pool_options pool_options = {.initializer = worker_begin};
    mp_iterator *answers;
    mp_value *killer;
    mp_pool *pool;

    mp_check(mp_value_create(&killer, MP_CTYPE(int64_t), &victim, NULL));
    pool_options.initargs = MP_ARGS(mp_obj_bool(options->must_print), killer);
    mp_check(mp_pool_create(&pool, crew->result->processes, &pool_options));
    mp_check(mp_pool_imap_unordered_from(pool, worker_count, give_batch, crew,
                                         1, &task_options, &answers));
    take_all(crew, answers);
    mp_check(mp_iterator_close(answers));
    mp_check(mp_pool_destroy(pool));
    mp_check(mp_value_close(killer));
}

void crew_count(crew_result *result, const wc_file_list *list,
                const crew_options *options)
{
    wc_crew crew = {.list = list, .result = result};

    *result = (crew_result){.states = allocate(NULL, list->count)};
    memset(result->states, 0, list->count);
    batches_create(&crew.batches, list, options->processes);
    result->processes = options->processes < crew.batches.count
                            ? options->processes
                            : crew.batches.count;
    if (result->processes > 0)
        run(&crew, options);
    result->totals.words -= count_join(result->states, list->count);
    batches_free(&crew.batches);
}

void crew_result_free(crew_result *result)
{
    table_free(&result->table);
    free(result->states);
}
