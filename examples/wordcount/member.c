/* SPDX-License-Identifier: MIT */
/*
 * A worker keeps its words to the end. If it dies before, everything it was
 * given is missing, and its sums are left out, too.
 */
#include "member.h"

#include "worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void member_start(wc_crew *crew, wc_member *member)
{
    mp_process_options options = {.daemon = MP_DAEMON_YES};
    mp_connection *there;

    mp_check(mp_pipe(&member->connection, &there, NULL));
    mp_check(mp_process_create(
        &member->process, worker,
        MP_ARGS(there, mp_obj_bool(crew->options->must_print)), &options));
    mp_check(mp_process_start(member->process));
    mp_check(mp_connection_close(there)); /* or its end is never noticed */
}

/* Waits for the process, or ends it: it may have closed its pipe only. */
static void collect(mp_process *process)
{
    if (mp_process_join(process, 1) == MP_TIMED_OUT)
        mp_process_kill(process);
    mp_check(mp_process_join(process, MP_FOREVER));
}

static void bury(wc_crew *crew, wc_member *member)
{
    int code = 0;

    collect(member->process);
    mp_process_exitcode(member->process, &code);
    fprintf(stderr, "wordcount: %s died, exit code %d\n",
            mp_process_name(member->process), code);
    mp_connection_close(member->connection);
    member->connection = NULL;
    member->pending_count = 0;

    for (size_t i = 0; i < crew->next; i++) {
        const wc_batch *batch = &crew->batches.items[i];

        for (size_t j = 0; batch->owner == member->number && j < batch->count;
             j++)
            crew->result->states[crew->batches.order[batch->first + j]] = 0;
    }
}

void member_give(wc_crew *crew, wc_member *member)
{
    wc_batch *batch;
    size_t size;
    char *paths;
    mp_error err;

    if (crew->next == crew->batches.count)
        return;
    batch = &crew->batches.items[crew->next++];
    batch->owner = member->number;
    paths = batch_paths(&crew->batches, batch, crew->list, &size);
    err = mp_connection_send_bytes(member->connection, paths, size);
    free(paths);
    if (err != MP_OK) {
        bury(crew, member);
        return;
    }
    member->clock += batch->cost;
    member->pending[member->pending_count] = batch;
    member->due[member->pending_count++] = member->clock;
}

static uint64_t take_sum(const mp_obj *answer, int64_t index)
{
    const mp_obj *item;
    int64_t sum;

    mp_check(mp_obj_item(answer, index, &item));
    mp_check(mp_obj_as_int(item, &sum));
    return (uint64_t)sum;
}

static void take_states(wc_crew *crew, const wc_batch *batch,
                        const mp_obj *answer)
{
    const unsigned char *states;
    const mp_obj *item;
    const void *data;
    size_t size;

    mp_check(mp_obj_item(answer, 3, &item));
    mp_check(mp_obj_as_bytes(item, &data, &size));
    states = data;
    for (size_t i = 0; i < batch->count && i < size; i++)
        crew->result->states[crew->batches.order[batch->first + i]] = states[i];
}

void member_take(wc_crew *crew, wc_member *member)
{
    const wc_batch *batch = member->pending[0];
    mp_obj *answer;

    if (mp_connection_recv(member->connection, &answer) != MP_OK) {
        bury(crew, member);
        return;
    }
    member->totals.lines += take_sum(answer, 0);
    member->totals.words += take_sum(answer, 1);
    member->totals.bytes += take_sum(answer, 2);
    take_states(crew, batch, answer);
    mp_obj_unref(answer);
    progress_add(&crew->progress, batch->count, batch->cost);

    member->pending_count--;
    memmove(member->pending, member->pending + 1, sizeof(member->pending[0]));
    memmove(member->due, member->due + 1, sizeof(member->due[0]));
}

/* Its words and sums; all or nothing. */
static void take_table(wc_crew *crew, wc_member *member)
{
    crew_result *result = crew->result;
    size_t size;
    void *data;

    if (mp_connection_recv_bytes(member->connection, &data, &size) != MP_OK) {
        bury(crew, member);
        return;
    }
    table_merge(&result->table, data, size);
    mp_free(data);
    result->totals.lines += member->totals.lines;
    result->totals.words += member->totals.words;
    result->totals.bytes += member->totals.bytes;
}

void member_dismiss(wc_crew *crew, wc_member *member)
{
    if (member->connection != NULL &&
        mp_connection_send_bytes(member->connection, "", 0) != MP_OK)
        bury(crew, member);
}

void member_finish(wc_crew *crew, wc_member *member)
{
    if (member->connection != NULL)
        take_table(crew, member);
    collect(member->process);
    mp_check(mp_process_close(member->process));
    mp_connection_close(member->connection);
}
